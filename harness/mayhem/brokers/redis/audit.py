"""The ledger of a queue in Redis: figures since its creation, ids of the last hour."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis

from ...ledger import BrokerAudit
from ..broker_url import BrokerUrl
from .connection import connected, translated
from .script import Keys

# Settlements read per request.
CHUNK = 5_000


async def audit(url: str) -> BrokerAudit:
    """Count the messages, and create nothing. Exact while no message is being handled.

    Raises as `connect` in `broker.py` does.
    """
    address = BrokerUrl.from_url(url)
    keys = Keys.of(address.queue)
    async with connected(address) as client:
        with translated(address):
            async with client.pipeline(transaction=True) as snapshot:
                snapshot.hgetall(keys.figures)
                snapshot.xlen(keys.stream)
                counted, waiting = await snapshot.execute()
            acks = {message_id: number async for message_id, number in _acked(client, keys)}
    figures = {name.decode(): int(value) for name, value in counted.items()}
    return BrokerAudit(
        published=figures.get("published", 0),
        acked=figures.get("acked", 0),
        acks=acks,
        nacked=figures.get("nacked", 0),
        redelivered=figures.get("redelivered", 0),
        dead_lettered=figures.get("dead", 0),
        waiting=waiting,
    )


async def _acked(client: Redis, keys: Keys) -> AsyncIterator[tuple[str, int]]:
    since = "-"
    while True:
        entries: Any = await client.xrange(keys.settled, min=since, count=CHUNK)
        for _, fields in entries:
            if fields[b"state"] == b"acked":
                yield fields[b"id"].decode(errors="replace"), int(fields[b"number"])
        if len(entries) < CHUNK:
            return
        since = f"({entries[-1][0].decode()}"
