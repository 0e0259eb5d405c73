"""A request to a subject, and the worker's reply."""

from __future__ import annotations

import nats
import nats.aio.client


class NatsClient:
    def __init__(self, connection: nats.aio.client.Client) -> None:
        self._connection = connection

    async def ask(self, what: str) -> bytes:
        reply = await self._connection.request(what, b"now", timeout=20)
        answer: bytes = reply.data
        return answer

    async def close(self) -> None:
        await self._connection.close()


async def connect(port: int) -> NatsClient:
    return NatsClient(await nats.connect(f"nats://127.0.0.1:{port}"))
