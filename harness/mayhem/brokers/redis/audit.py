"""The books of the broker in Redis: figures for as long as the queue exists, ids for the last hour."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from ...ledger import BrokerAudit
from ..broker_url import BrokerUrl
from .broker import Keys, connected, translated

if TYPE_CHECKING:
    from redis.asyncio import Redis

# Of the stream of settlements, at a time.
CHUNK = 5_000


async def audit(url: str) -> BrokerAudit:
    """Count; nothing is created. Exact when nothing is under way.

    Raises:
        SettingsError: The URL is wrong.
        StorageError: The server does not answer, or refuses.
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
