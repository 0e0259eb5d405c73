"""Starlette, served by a script."""

import sys
from contextlib import asynccontextmanager

import shop
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def ok(request):
    return JSONResponse(shop.ok())


async def block(request):
    return JSONResponse(shop.block())


@asynccontextmanager
async def lifespan(app):
    shop.ready()
    yield


app = Starlette(routes=[Route("/ok", ok), Route("/block", block)], lifespan=lifespan)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop=sys.argv[2])
