"""A worker that takes its jobs from Redis."""

import os

import shop
from arq.connections import RedisSettings


async def ok(context):
    return shop.ok()


async def block(context):
    return shop.block()


async def on_startup(context):
    shop.ready()


class WorkerSettings:
    functions = (ok, block)
    on_startup = on_startup
    poll_delay = 0.02
    redis_settings = RedisSettings(port=int(os.environ["BROKER_PORT"]))
