"""Adds messages to a Redis stream, and reads from the service's stream when they were settled.

The contract is in docs/brokers.md: a publisher adds an entry with id, body, headers and published_at, and
counts it in the same transaction; for each settled message, the service adds one with id, state, at_us and
reason.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ....errors import TargetError, UsageError
from ..in_flight import DriverRequest, InFlightRequests
from ..in_flight_messages import InFlightMessages, Outgoing

try:
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
except ImportError as missing:
    raise UsageError('the sender "redis" needs redis: install asyncio-harness[redis]') from missing

ANSWER_S = 5.0
# How long one read waits for settlements. Latency does not depend on it: each entry has its time.
READ_MS = 1_000
READ_COUNT = 1_000
# Pause between two reads while the server is unavailable; requests then fail, and the load goes on.
RETRY_S = 0.1


@asynccontextmanager
async def connect(flight: InFlightRequests, *, url: str, hosts: int) -> AsyncIterator[RedisSender]:
    """Open a sender to the queue at *url*, with events for *hosts* different hosts.

    Raises:
        TargetError: The server does not answer, or has no such queue.
    """
    parts = urlsplit(url)
    queue = parse_qs(parts.query).get("queue", ["mayhem"])[-1]
    client = Redis.from_url(
        parts._replace(query="").geturl(),
        socket_timeout=ANSWER_S,
        socket_connect_timeout=ANSWER_S,
        # A retried request might be executed twice.
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    sender = RedisSender(InFlightMessages(flight, "redis", hosts), client, queue)
    async with client:
        await sender.open(f"{parts.scheme}://{parts.hostname}:{parts.port}")
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(sender.watch())
            yield sender
            watching.cancel()
        await sender.close()


class RedisSender:
    """Runs one task per message; concurrent ones share the client's connection pool."""

    def __init__(self, out: InFlightMessages, client: Redis, queue: str) -> None:
        self._out = out
        self._client = client
        self._stream = f"{{{queue}}}:stream"
        self._figures = f"{{{queue}}}:figures"
        self._settled = f"{{{queue}}}:settled"
        self._seen = b"0"
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, place: str) -> None:
        """Check that a broker has created the queue, and find the first settlement to read."""
        try:
            if not await self._client.exists(self._stream):
                raise TargetError(f"{place}: not a broker's queue: no {self._stream}")
            latest: Any = await self._client.xrevrange(self._settled, count=1)
        except RedisError as exc:
            raise TargetError(f"{place}: {exc}") from exc
        if latest:
            self._seen = latest[0][0]

    def send(self, request: DriverRequest) -> None:
        """Publish the message."""
        task = asyncio.get_running_loop().create_task(self._publish(self._out.send(request)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def watch(self) -> None:
        """Read the settlements of messages; never returns."""
        while True:
            try:
                await self._read(block_ms=READ_MS)
            except RedisError:
                await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """Read the last settlements, and cancel what is still being published."""
        with suppress(RedisError):
            while await self._read(block_ms=None):
                pass
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _publish(self, message: Outgoing) -> None:
        entry: dict[Any, Any] = {
            "id": message.id,
            "body": message.body,
            "headers": json.dumps(message.headers),
            "published_at": repr(message.published_at),
        }
        error = ""
        try:
            async with self._client.pipeline(transaction=True) as transaction:
                transaction.xadd(self._stream, entry)
                transaction.hincrby(self._figures, "published", 1)
                await transaction.execute()
        except RedisError as exc:
            error = f"{type(exc).__name__}: {exc}"
        self._out.published(message, error=error)

    async def _read(self, *, block_ms: int | None) -> bool:
        """Read the settlements since the last read; return whether there were any."""
        found: Any = await self._client.xread({self._settled: self._seen}, count=READ_COUNT, block=block_ms)
        for _, entries in found:
            for entry, fields in entries:
                self._seen = entry
                self._out.settled(
                    fields[b"id"].decode(errors="replace"),
                    fields[b"state"].decode(),
                    fields[b"reason"].decode(errors="replace"),
                    int(fields[b"at_us"]) / 1e6,
                )
        return bool(found)
