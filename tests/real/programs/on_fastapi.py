"""FastAPI, served by its own command."""

from contextlib import asynccontextmanager

import shop
from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app):
    shop.ready()
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/ok")
async def ok():
    return shop.ok()


@app.get("/block")
async def block():
    return shop.block()
