"""Sanic with two workers, which its own manager keeps."""

import sys

import shop
from sanic import Sanic
from sanic.response import json

app = Sanic("shop")
app.config.USE_UVLOOP = sys.argv[-1] == "uvloop"


@app.after_server_start
async def started(app):
    shop.ready()


@app.get("/ok")
async def ok(request):
    return json(shop.ok())


@app.get("/block")
async def block(request):
    return json(shop.block())


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[1]), workers=2, motd=False, access_log=True)
