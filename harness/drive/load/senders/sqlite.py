"""Inserts messages into a SQLite table, and reads from the same table when they were settled.

The contract is the table ``message``: a publisher inserts id, body, headers, published_at and visible_at; the
service sets state to "acked" or "dead" together with settled_at. Times are unix seconds.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from ....errors import TargetError
from ..in_flight import DriverRequest, InFlightRequests
from ..in_flight_messages import InFlightMessages, Outgoing

T = TypeVar("T")

# How often settled messages are read. Latency does not depend on it: the row has the time.
READ_EVERY_S = 0.01
# A row can appear after rows that settled later, when its transaction commits after theirs. A read starts
# this long before the newest row; a sweep finds rows that take longer.
READ_BACK_S = 0.1
# A sweep reads everything since the oldest message in flight was published.
SWEEP_EVERY_S = 1.0
# The service writes to the same file; each of its commits takes milliseconds.
BUSY_TIMEOUT_MS = 5_000

INSERT = "INSERT INTO message (id, body, headers, published_at, visible_at) VALUES (?, ?, ?, ?, ?)"
SETTLED = "SELECT id, state, settled_at, reason FROM message WHERE settled_at >= ?"


@asynccontextmanager
async def connect(flight: InFlightRequests, *, database: str, hosts: int) -> AsyncIterator[SqliteSender]:
    """Open a sender to the file *database*, with events for *hosts* different hosts.

    Raises:
        TargetError: The file or its table does not exist, or can no longer be read.
    """
    # A thread owns the connection: a commit takes milliseconds, and must not delay the schedule.
    with ThreadPoolExecutor(1, thread_name_prefix="sqlite") as thread:
        loop = asyncio.get_running_loop()
        connection = await loop.run_in_executor(thread, _open, Path(database))
        try:
            sender = SqliteSender(InFlightMessages(flight, "sqlite", hosts), connection, thread)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(sender.publish()), group.create_task(sender.watch())]
                yield sender
                for task in tasks:
                    task.cancel()
            await sender.sweep()
        finally:
            await loop.run_in_executor(thread, connection.close)


class SqliteSender:
    """Collects the messages that are sent during a transaction into the next transaction."""

    def __init__(
        self, out: InFlightMessages, connection: sqlite3.Connection, thread: ThreadPoolExecutor
    ) -> None:
        self._out = out
        self._connection = connection
        self._thread = thread
        self._next: list[Outgoing] = []
        self._any_next = asyncio.Event()
        self._newest_s = 0.0

    def send(self, request: DriverRequest) -> None:
        """Add the message to the next transaction."""
        self._next.append(self._out.send(request))
        self._any_next.set()

    async def publish(self) -> None:
        """Insert the messages; never returns."""
        while True:
            await self._any_next.wait()
            self._any_next.clear()
            batch, self._next = self._next, []
            error = ""
            try:
                await self._in_thread(self._insert, batch)
            except sqlite3.Error as exc:
                error = f"{type(exc).__name__}: {exc}"
            for message in batch:
                self._out.published(message, error=error)

    async def watch(self) -> None:
        """Read which messages were settled; never returns.

        Raises:
            TargetError: The table can no longer be read.
        """
        swept_s = 0.0
        while True:
            await asyncio.sleep(READ_EVERY_S)
            if time.monotonic() - swept_s >= SWEEP_EVERY_S:
                swept_s = time.monotonic()
                await self.sweep()
            else:
                await self._read(self._newest_s - READ_BACK_S)

    async def sweep(self) -> None:
        """Find every settled message, however late its row appeared; raises as `watch` does."""
        await self._read(0.0)

    async def _read(self, since_s: float) -> None:
        oldest_s = self._out.oldest_s()
        if oldest_s is None:
            return
        try:
            rows = await self._in_thread(self._settled, max(since_s, oldest_s))
        except sqlite3.Error as exc:
            raise TargetError(f"the broker's messages can no longer be read: {exc}") from exc
        for message_id, state, settled_at, reason in rows:
            self._newest_s = max(self._newest_s, settled_at)
            self._out.settled(message_id, state, reason or "", settled_at)

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _insert(self, batch: Sequence[Outgoing]) -> None:
        # Visible at once: visible_at is published_at.
        rows = [(m.id, m.body, json.dumps(m.headers), m.published_at, m.published_at) for m in batch]
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            self._connection.executemany(INSERT, rows)

    def _settled(self, since_s: float) -> list[tuple[str, str, float, str | None]]:
        return self._connection.execute(SETTLED, (since_s,)).fetchall()


def _open(path: Path) -> sqlite3.Connection:
    try:
        # rw, because a publisher must not create the file: no service would read it.
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
        )
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("SELECT 1 FROM message LIMIT 1")
    except sqlite3.Error as exc:
        raise TargetError(f"{path}: not a broker's database: {exc}") from exc
    return connection
