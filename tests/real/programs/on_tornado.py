"""Tornado."""

import asyncio
import signal
import sys

import shop
from tornado.web import Application, RequestHandler


class Ok(RequestHandler):
    async def get(self):
        self.write(shop.ok())


class Block(RequestHandler):
    async def get(self):
        self.write(shop.block())


async def main():
    server = Application([("/ok", Ok), ("/block", Block)]).listen(int(sys.argv[1]), "127.0.0.1")
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    shop.ready()
    await stopping.wait()
    server.stop()
    await server.close_all_connections()
    print("stopped")


if sys.argv[2] == "uvloop":
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
