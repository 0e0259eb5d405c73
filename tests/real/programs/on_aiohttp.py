"""aiohttp, served by a script or by gunicorn."""

import asyncio
import sys

import shop
from aiohttp import web


async def ok(request):
    return web.json_response(shop.ok())


async def block(request):
    return web.json_response(shop.block())


async def started(app):
    shop.ready()


app = web.Application()
app.add_routes([web.get("/ok", ok), web.get("/block", block)])
app.on_startup.append(started)

if __name__ == "__main__":
    if sys.argv[2] == "uvloop":
        import uvloop

        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), loop=loop)
