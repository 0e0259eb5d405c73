"""A worker that takes its requests from NATS."""

import os

import shop
from faststream import FastStream
from faststream.nats import NatsBroker

broker = NatsBroker(f"nats://127.0.0.1:{os.environ['BROKER_PORT']}")
app = FastStream(broker)


@broker.subscriber("ok")
async def ok(message: str) -> dict:
    return shop.ok()


@broker.subscriber("block")
async def block(message: str) -> dict:
    return shop.block()


@app.after_startup
async def started():
    shop.ready()
