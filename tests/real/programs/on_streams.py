"""A server of asyncio's streams that handles no signal: the system's default ends it."""

import asyncio
import json
import sys

import shop


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(json.dumps(shop.ANSWERS[line.decode().strip()]()).encode() + b"\n")
        await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    shop.ready()
    print("serving", flush=True)
    async with server:
        await server.serve_forever()


if sys.argv[2] == "uvloop":
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
