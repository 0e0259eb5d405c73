"""BlackSheep."""

import shop
from blacksheep import Application, get, json

app = Application()


@app.on_start
async def started(application):
    shop.ready()


@get("/ok")
async def ok():
    return json(shop.ok())


@get("/block")
async def block():
    return json(shop.block())
