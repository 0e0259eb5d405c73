"""A broker in a table of a SQLite file, which other processes publish into with a plain INSERT.

The table `message` is a contract with those publishers; docs/mayhem.md describes it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..database import Database
from ..errors import LeaseLostError
from ..message import Delivery, Message

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS message (
        id TEXT PRIMARY KEY,
        body TEXT NOT NULL,
        headers TEXT NOT NULL,
        published_at REAL NOT NULL,
        visible_at REAL NOT NULL,             -- when it may be handed out: leases and delays both move it
        deliveries INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL DEFAULT 'waiting',
        settled_at REAL,
        reason TEXT,
        leased INTEGER NOT NULL DEFAULT 0,    -- the delivery that holds it, 0 for none
        nacks INTEGER NOT NULL DEFAULT 0
    )
    """,
    # What is settled is not in it: the claim stays as fast after a million messages as after none.
    "CREATE INDEX IF NOT EXISTS message_claim ON message (visible_at) WHERE state = 'waiting'",
    "CREATE INDEX IF NOT EXISTS message_settled ON message (settled_at)",
    # Every publishing leaves its id here, whoever publishes; nothing removes it. A row of `message` that
    # vanishes afterwards is missed.
    "CREATE TABLE IF NOT EXISTS published (id TEXT PRIMARY KEY) WITHOUT ROWID",
    """
    CREATE TRIGGER IF NOT EXISTS message_published AFTER INSERT ON message
    BEGIN INSERT OR IGNORE INTO published VALUES (new.id); END
    """,
)

PUT = """
    INSERT INTO message (id, body, headers, published_at, visible_at)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""
CLAIM = """
    UPDATE message SET deliveries = deliveries + 1, leased = deliveries + 1, visible_at = ?
    WHERE id IN (
        SELECT id FROM message WHERE state = 'waiting' AND visible_at <= ? ORDER BY visible_at LIMIT ?
    )
    RETURNING id, body, headers, published_at, deliveries
"""
ACK = "UPDATE message SET leased = 0, state = 'acked', settled_at = ?"
NACK = "UPDATE message SET leased = 0, nacks = nacks + 1, visible_at = ?"
EXTEND = "UPDATE message SET visible_at = ?"
DEAD_LETTER = "UPDATE message SET leased = 0, state = 'dead', settled_at = ?, reason = ?"
HELD = " WHERE id = ? AND leased = ?"
PENDING = "SELECT count(*) FROM message WHERE state = 'waiting'"

# Nobody tells this process of another's INSERT. At this interval a service at rest takes some 2 % of one
# core for looking, and a message waits 10 ms on the average.
POLL_S = 0.02


class SqliteBroker:
    """Shares its database with the store, so that a save and an ack are often one commit."""

    system = "sqlite"

    def __init__(self, database: Database, *, lease_s: float, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._lease_s = lease_s
        self._clock = clock
        self._draining = asyncio.Event()

    async def create(self) -> None:
        """Create what is not there yet."""
        for statement in SCHEMA:
            await self._database.execute(statement)

    async def put(self, message: Message) -> None:
        headers = json.dumps(dict(message.headers))
        await self._database.execute(
            PUT, message.id, message.body, headers, message.published_at, self._clock()
        )

    async def get(self, limit: int) -> Sequence[Delivery]:
        # A claim that was cancelled too late leaves its messages leased: they come again when that ends.
        while not self._draining.is_set():
            now = self._clock()
            claimed = await self._database.execute(CLAIM, now + self._lease_s, now, limit)
            if claimed.rows:
                return [_delivery(*row) for row in claimed.rows]
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._draining.wait()
        return []

    async def ack(self, delivery: Delivery) -> None:
        await self._update(ACK, delivery, self._clock())

    async def nack(self, delivery: Delivery, *, delay_s: float) -> None:
        await self._update(NACK, delivery, self._clock() + delay_s)

    async def extend(self, delivery: Delivery) -> None:
        await self._update(EXTEND, delivery, self._clock() + self._lease_s)

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> None:
        await self._update(DEAD_LETTER, delivery, self._clock(), reason)

    async def pending(self) -> int:
        counted = await self._database.execute(PENDING)
        return int(counted.rows[0][0])

    def drain(self) -> None:
        self._draining.set()

    async def _update(self, change: str, delivery: Delivery, *values: float | str) -> None:
        updated = await self._database.execute(change + HELD, *values, delivery.message.id, delivery.number)
        if not updated.changed:
            raise LeaseLostError(f"delivery {delivery.number} of {delivery.message.id} is no longer held")


def _delivery(message_id: str, body: str, headers: str, published_at: float, number: int) -> Delivery:
    return Delivery(Message(message_id, body, published_at, _parsed(headers)), number)


def _parsed(headers: str) -> dict[str, str]:
    """A message whose headers cannot be read loses its trace, nothing else."""
    try:
        parsed = json.loads(headers)
    except (ValueError, RecursionError):
        return {}
    return {str(k): str(v) for k, v in parsed.items()} if isinstance(parsed, dict) else {}
