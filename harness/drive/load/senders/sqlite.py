"""Messages into a SQLite broker's table, by plain SQL; their settling is read back from the same table.

The contract is the table ``message``: a publisher inserts id, body, headers, published_at and visible_at; the
service sets state to "acked" or "dead", and settled_at with it. Its times are unix seconds.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ....errors import TargetError
from ..flight import Flight, Request

T = TypeVar("T")

# How often settled messages are looked for. Latency does not depend on it: the row says when it settled.
LOOK_EVERY_S = 0.01
# A row may show up after others that settled later, when its transaction committed after theirs. Looks reach
# back this far behind the newest row; what takes longer is found by a sweep.
LOOK_BACK_S = 0.1
# A sweep reads everything since the oldest message that is still out was published.
SWEEP_EVERY_S = 1.0
# The service writes to the same file; a commit of its own takes milliseconds.
BUSY_TIMEOUT_MS = 5_000

SPAN = "publish restart"
ATTRIBUTES = {
    "messaging.system": "sqlite",
    "messaging.operation.type": "send",
    "messaging.destination.name": "message",
}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way into the table."""

    request: Request
    id: str
    host: str
    sent_ns: int


@asynccontextmanager
async def connect(flight: Flight, *, database: str, hosts: int) -> AsyncIterator[SqliteSender]:
    """A sender into the file *database*, for events of that many hosts.

    Raises:
        TargetError: The file or its table is not there, or can no longer be read.
    """
    # One thread owns the connection: a commit takes milliseconds, which the schedule must not wait for.
    with ThreadPoolExecutor(1, thread_name_prefix="sqlite") as thread:
        loop = asyncio.get_running_loop()
        connection = await loop.run_in_executor(thread, _open, Path(database))
        try:
            sender = SqliteSender(flight, connection, thread, hosts)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(sender.publish()), group.create_task(sender.watch())]
                yield sender
                for task in tasks:
                    task.cancel()
            await sender.sweep()
        finally:
            await loop.run_in_executor(thread, connection.close)


class SqliteSender:
    """Gathers what is sent while a transaction runs into the next one."""

    def __init__(
        self, flight: Flight, connection: sqlite3.Connection, thread: ThreadPoolExecutor, hosts: int
    ) -> None:
        self._flight = flight
        self._connection = connection
        self._thread = thread
        self._hosts = hosts
        self._next: list[Outgoing] = []
        self._any_next = asyncio.Event()
        self._out: dict[str, Outgoing] = {}  # by id, in the order of sending; taken out when settled
        self._newest_s = 0.0

    def send(self, request: Request) -> None:
        """Put the message into the next transaction."""
        sent_ns = time.monotonic_ns()
        message = Outgoing(
            request, f"{request.n}-{request.trace_id[:8]}", f"web-{request.n % self._hosts}", sent_ns
        )
        self._flight.sent(request, sent_ns)
        self._next.append(message)
        self._any_next.set()

    async def publish(self) -> None:
        """Insert what is sent; never returns."""
        while True:
            await self._any_next.wait()
            self._any_next.clear()
            batch, self._next = self._next, []
            self._out.update((message.id, message) for message in batch)
            error = ""
            try:
                await self._in_thread(self._insert, batch)
            except sqlite3.Error as exc:
                error = f"{type(exc).__name__}: {exc}"
            done_ns = time.monotonic_ns()
            for message in batch:
                self._flight.span(
                    message.request, SPAN, "producer", message.sent_ns, done_ns, ATTRIBUTES, error=error
                )
                if error and self._out.pop(message.id, None) is not None:
                    self._flight.end(message.request, done_ns, error=error)

    async def watch(self) -> None:
        """Look for messages that settled; never returns.

        Raises:
            TargetError: The table can no longer be read.
        """
        swept_s = 0.0
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if time.monotonic() - swept_s >= SWEEP_EVERY_S:
                swept_s = time.monotonic()
                await self.sweep()
            else:
                await self._look(self._newest_s - LOOK_BACK_S)

    async def sweep(self) -> None:
        """Find every message that settled, however late its row showed up.

        Raises:
            TargetError: The table can no longer be read.
        """
        await self._look(0.0)

    async def _look(self, since_s: float) -> None:
        if not self._out:
            return
        oldest = next(iter(self._out.values()))
        since_s = max(since_s, _unix_s(oldest.sent_ns))
        try:
            rows = await self._in_thread(self._settled, since_s)
        except sqlite3.Error as exc:
            raise TargetError(f"the broker's messages can no longer be read: {exc}") from exc
        for message_id, state, settled_at, reason in rows:
            self._newest_s = max(self._newest_s, settled_at)
            message = self._out.pop(message_id, None)
            if message is not None:
                error = "" if state == "acked" else f"{state}: {reason}"
                self._flight.end(message.request, _monotonic_ns(settled_at), error=error)

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _insert(self, batch: Sequence[Outgoing]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            self._connection.executemany(
                "INSERT INTO message (id, body, headers, published_at, visible_at) VALUES (?, ?, ?, ?, ?)",
                map(_row, batch),
            )

    def _settled(self, since_s: float) -> list[tuple[str, str, float, str | None]]:
        return self._connection.execute(
            "SELECT id, state, settled_at, reason FROM message WHERE settled_at >= ?", (since_s,)
        ).fetchall()


def _open(path: Path) -> sqlite3.Connection:
    try:
        # rw, because a publisher must not make the file: it would be an empty one that nobody reads.
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
        )
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("SELECT 1 FROM message LIMIT 1")
    except sqlite3.Error as exc:
        raise TargetError(f"{path}: not a broker's database: {exc}") from exc
    return connection


def _row(message: Outgoing) -> tuple[str, str, str, float, float]:
    published_at = _unix_s(message.sent_ns)
    return (
        message.id,
        json.dumps({"host": message.host, "event": "restart"}),
        json.dumps({"traceparent": message.request.traceparent}),
        published_at,
        published_at,  # visible at once
    )


def _unix_s(monotonic_ns: int) -> float:
    return (monotonic_ns + time.time_ns() - time.monotonic_ns()) / 1e9


def _monotonic_ns(unix_s: float) -> int:
    return round(unix_s * 1e9) - time.time_ns() + time.monotonic_ns()
