"""A WebSocket server that ends by a signal's handler."""

import asyncio
import json
import signal
import sys

import shop
from websockets.asyncio.server import serve


async def answer(connection):
    async for asked in connection:
        await connection.send(json.dumps(shop.ANSWERS[asked]()))


async def main():
    async with serve(answer, "127.0.0.1", int(sys.argv[1])) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, server.close)
        shop.ready()
        await server.wait_closed()
    print("stopped")


if sys.argv[2] == "uvloop":
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
