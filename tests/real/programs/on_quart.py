"""Quart."""

import shop
from quart import Quart

app = Quart(__name__)


@app.before_serving
async def started():
    shop.ready()


@app.get("/ok")
async def ok():
    return shop.ok()


@app.get("/block")
async def block():
    return shop.block()
