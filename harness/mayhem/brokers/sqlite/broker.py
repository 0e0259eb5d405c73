"""A broker in a table of a SQLite file; other processes publish into it with a plain INSERT.

The table `message` is a contract with those publishers; docs/brokers.md describes it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from ...cancellation import take_or_undo
from ...database import Database, shared, sqlite_path
from ...message import DeadLettered, Delivery, Message, json_object, text_headers

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS message (
        id TEXT PRIMARY KEY,
        body TEXT NOT NULL,
        headers TEXT NOT NULL,
        published_at REAL NOT NULL,
        visible_at REAL NOT NULL,             -- when it may be delivered; leases and delays both move it
        deliveries INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL DEFAULT 'waiting',
        settled_at REAL,
        reason TEXT,
        leased INTEGER NOT NULL DEFAULT 0,    -- the delivery that holds it, 0 for none
        nacks INTEGER NOT NULL DEFAULT 0
    )
    """,
    # Without settled messages, so that a claim stays as fast after a million messages as after none.
    "CREATE INDEX IF NOT EXISTS message_claim ON message (visible_at) WHERE state = 'waiting'",
    "CREATE INDEX IF NOT EXISTS message_settled ON message (settled_at)",
    # The id of every message ever published, by any process. Nothing is deleted from it, so a row of
    # `message` that vanishes is noticed.
    "CREATE TABLE IF NOT EXISTS published (id TEXT PRIMARY KEY) WITHOUT ROWID",
    """
    CREATE TRIGGER IF NOT EXISTS message_published AFTER INSERT ON message
    BEGIN INSERT OR IGNORE INTO published VALUES (new.id); END
    """,
)

# As text, to keep the table readable; the cast changes no byte, even of a body that is not text.
PUT = """
    INSERT INTO message (id, body, headers, published_at, visible_at)
    VALUES (?, CAST(? AS TEXT), ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""
CLAIM = """
    UPDATE message SET deliveries = deliveries + 1, leased = deliveries + 1, visible_at = ?
    WHERE id IN (
        SELECT id FROM message WHERE state = 'waiting' AND visible_at <= ? ORDER BY visible_at LIMIT ?
    )
    RETURNING id, CAST(body AS BLOB), headers, published_at, deliveries
"""
UNCLAIM = "UPDATE message SET leased = 0, deliveries = deliveries - 1, visible_at = ?"
ACK = "UPDATE message SET leased = 0, state = 'acked', settled_at = ?"
NACK = "UPDATE message SET leased = 0, nacks = nacks + 1, visible_at = ?"
EXTEND = "UPDATE message SET visible_at = ?"
DEAD_LETTER = "UPDATE message SET leased = 0, state = 'dead', settled_at = ?, reason = ?"
HELD = " WHERE id = ? AND leased = ?"
PENDING = "SELECT count(*) FROM message WHERE state = 'waiting'"
DEAD_LETTERS = """
    SELECT id, CAST(body AS BLOB), headers, published_at, deliveries, reason FROM message
    WHERE state = 'dead' ORDER BY settled_at LIMIT ?
"""

# SQLite does not notify this process of another's INSERT. At this interval an idle service polls with some
# 2 % of one core, and a message waits 10 ms on average.
POLL_S = 0.02


@asynccontextmanager
async def connect(url: str, *, lease_s: float) -> AsyncIterator[SqliteBroker]:
    """The broker in the file of *url*: ``sqlite:PATH``.

    Raises:
        StorageError: The file cannot be opened, or is not a database.
    """
    async with shared(sqlite_path(url)) as database:
        broker = SqliteBroker(database, lease_s=lease_s)
        await broker.create()
        yield broker


class SqliteBroker:
    """Shares its database with the store, so that a save and an ack are often one commit."""

    system = "sqlite"

    def __init__(self, database: Database, *, lease_s: float, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._lease_s = lease_s
        self._clock = clock
        self._draining = asyncio.Event()

    async def create(self) -> None:
        """Create missing tables."""
        for statement in SCHEMA:
            await self._database.execute(statement)

    async def put(self, message: Message) -> None:
        headers = json.dumps(dict(message.headers))
        fields = message.id, message.body, headers, message.published_at
        await self._database.execute(PUT, *fields, self._clock())

    async def get(self, limit: int) -> Sequence[Delivery]:
        while not self._draining.is_set():
            if deliveries := await take_or_undo(self._claim(limit), self._unclaim):
                return deliveries
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

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadLettered]:
        dead = await self._database.execute(DEAD_LETTERS, limit)
        return [DeadLettered(_delivery(*row), reason) for *row, reason in dead.rows]

    async def pending(self) -> int:
        counted = await self._database.execute(PENDING)
        return int(counted.rows[0][0])

    def drain(self) -> None:
        self._draining.set()

    async def _claim(self, limit: int) -> Sequence[Delivery]:
        now = self._clock()
        answer = await self._database.execute(CLAIM, now + self._lease_s, now, limit)
        return [_delivery(*row) for row in answer.rows]

    async def _unclaim(self, deliveries: Sequence[Delivery]) -> None:
        """Undo a claim that no consumer has seen."""
        for delivery in deliveries:
            await self._update(UNCLAIM, delivery, self._clock())

    async def _update(self, change: str, delivery: Delivery, *values: float | str) -> None:
        updated = await self._database.execute(change + HELD, *values, delivery.message.id, delivery.number)
        if not updated.changed:
            raise delivery.lost()


def _delivery(message_id: str, body: bytes, headers: str, published_at: float, number: int) -> Delivery:
    return Delivery(Message(message_id, body, published_at, text_headers(json_object(headers))), number)
