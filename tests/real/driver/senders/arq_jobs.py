"""A job, and its result."""

from __future__ import annotations

import json

import arq
import arq.connections


class ArqClient:
    def __init__(self, redis: arq.connections.ArqRedis) -> None:
        self._redis = redis

    async def ask(self, what: str) -> bytes:
        job = await self._redis.enqueue_job(what)
        return json.dumps(await job.result(timeout=20, poll_delay=0.01)).encode()

    async def close(self) -> None:
        await self._redis.aclose()


async def connect(port: int) -> ArqClient:
    return ArqClient(await arq.create_pool(arq.connections.RedisSettings(port=port)))
