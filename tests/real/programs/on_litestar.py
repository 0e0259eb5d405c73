"""Litestar, served by its own command."""

import shop
from litestar import Litestar, get


@get("/ok")
async def ok() -> dict:
    return shop.ok()


@get("/block")
async def block() -> dict:
    return shop.block()


app = Litestar([ok, block], on_startup=[shop.ready])
