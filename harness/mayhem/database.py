"""A SQLite file with one connection in one thread, so that the loop never waits for a disk.

Statements that are queued when the thread is free share one transaction (group commit): hundreds of
statements per commit under load, one when idle. A statement's future is resolved only after its transaction
is committed.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Self

from .errors import SettingsError, StorageBrokenError, StorageUnavailableError
from .operations.metrics import record_storage_error

log = logging.getLogger(__name__)

# How long to wait for other processes that write to the file; a publisher's transaction takes milliseconds.
BUSY_S = 5.0
# Maximum statements per transaction; bounds how long the first one waits for the last.
MAX_GROUP = 500
# Longer than any commit that waits for a busy file.
CLOSE_S = BUSY_S + 1.0


class StatementResult(NamedTuple):
    """What a statement returned."""

    rows: list[tuple[Any, ...]]
    changed: int  # number of rows inserted, updated or deleted


def sqlite_path(url: str) -> Path:
    """The path in ``sqlite:PATH``.

    Raises:
        SettingsError: There is no path.
    """
    if not (path := url.removeprefix("sqlite:")):
        raise SettingsError(f"expected sqlite:PATH, got {url!r}")
    return Path(path)


@asynccontextmanager
async def shared(path: Path) -> AsyncIterator[Database]:
    """Open the database *path*, or share it if it is open on this loop.

    So a save and an ack are often one commit, and two writers of one process never wait for each other.

    Raises:
        StorageError: The file cannot be opened, or is not a database.
    """
    key = asyncio.get_running_loop(), path.resolve()
    sharing = _shared.setdefault(key, _Sharing())
    sharing.users += 1
    try:
        async with sharing.opening:
            if sharing.database is None:
                sharing.database = await Database(path).__aenter__()
        yield sharing.database
    finally:
        sharing.users -= 1
        if not sharing.users:
            del _shared[key]
            if sharing.database is not None:
                await sharing.database.__aexit__(None, None, None)


@contextmanager
def open_readonly(path: Path) -> Iterator[sqlite3.Connection]:
    """A blocking connection for reading; it creates nothing.

    Raises:
        StorageError: There is no database, or it cannot be read.
    """
    try:
        # "rw" opens an existing file only; "ro" could not recover the log that a killed service left.
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, timeout=BUSY_S, uri=True, isolation_level=None)) as connection:
            connection.text_factory = _text
            yield connection
    except sqlite3.OperationalError as exc:
        raise StorageUnavailableError(f"{path}: cannot be read: {exc}") from exc
    except sqlite3.Error as exc:
        raise StorageBrokenError(f"{path}: not a database of this service: {exc}") from exc


@dataclass(slots=True)
class _Sharing:
    users: int = 0
    database: Database | None = None
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


_shared: dict[tuple[asyncio.AbstractEventLoop, Path], _Sharing] = {}


class Database:
    """Executes statements on the file, in order.

    Raises:
        StorageError: On entering; the file cannot be opened, or is not a database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        # A daemon, because a disk that hangs must not prevent the exit.
        self._thread = threading.Thread(target=self._run, name="mayhem-database", daemon=True)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._thread.start()
        try:
            await self._opened
        except asyncio.CancelledError:
            self._work.put(None)  # end the thread, although nothing waits for it
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._work.put(None)
        await asyncio.wait({self._closed}, timeout=CLOSE_S)
        if not self._closed.done():
            log.warning("database left open", extra={"path": str(self.path)})

    async def execute(self, statement: str, *parameters: str | bytes | float) -> StatementResult:
        """Execute one statement in the thread, and wait until its transaction is committed.

        Raises:
            StorageError: The statement or its transaction failed.
        """
        future: asyncio.Future[StatementResult] = self._loop.create_future()
        self._work.put(_Work(statement, parameters, future))
        return await future

    def _run(self) -> None:
        try:
            connection = _open(self.path)
        except sqlite3.Error as exc:
            # A missing folder is a permanent error: waiting for it would not help.
            absent = exc.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CANTOPEN
            kind = sqlite3.DatabaseError if absent else type(exc)
            self._deliver([_Outcome(self._opened, error=kind(f"cannot be opened: {exc}"))])
            return
        with closing(connection):
            self._deliver([_Outcome(self._opened)])
            while group := self._next_group():
                self._deliver(_commit(connection, group))
        self._deliver([_Outcome(self._closed)])

    def _next_group(self) -> list[_Work]:
        """Wait for work and take what is queued; empty at the end."""
        group: list[_Work] = []
        work = self._work.get()
        while work is not None:
            group.append(work)
            if len(group) == MAX_GROUP:
                return group
            try:
                work = self._work.get_nowait()
            except Empty:
                return group
        if group:
            self._work.put(None)  # for the next call
        return group

    def _deliver(self, outcomes: list[_Outcome]) -> None:
        # The loop is closed if the service did not wait for this thread.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._resolve, outcomes)

    def _resolve(self, outcomes: list[_Outcome]) -> None:
        for future, answer, error in outcomes:
            if future.done():  # cancelled
                continue
            if error is None:
                future.set_result(answer)
            else:
                future.set_exception(self._translated(error))

    def _translated(self, error: Exception) -> Exception:
        if not isinstance(error, sqlite3.Error):
            return error
        record_storage_error("sqlite")
        kind = StorageUnavailableError if isinstance(error, sqlite3.OperationalError) else StorageBrokenError
        translated = kind(f"{self.path}: {error}")
        translated.__cause__ = error
        return translated


class _Work(NamedTuple):
    statement: str
    parameters: tuple[str | bytes | float, ...]
    future: asyncio.Future[StatementResult]


class _Outcome(NamedTuple):
    future: asyncio.Future[Any]
    answer: StatementResult | None = None
    error: Exception | None = None


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # Survives a crash of the process. A power cut may lose the last commits, in order, so an ack never
        # outlives its save.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.text_factory = _text
    except BaseException:
        connection.close()
        raise
    return connection


def _text(written: bytes) -> str:
    """Decode text that any process wrote: one bad row must not fail every claim."""
    return written.decode(errors="replace")


def _commit(connection: sqlite3.Connection, group: list[_Work]) -> list[_Outcome]:
    try:
        # IMMEDIATE, because a transaction that began with a read could not wait for another writer.
        connection.execute("BEGIN IMMEDIATE")
        # No lock: if a future is cancelled right after this check, its statement is executed in vain.
        outcomes = [_execute(connection, work) for work in group if not work.future.cancelled()]
        connection.execute("COMMIT")
    except sqlite3.Error as exc:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return [_Outcome(work.future, error=exc) for work in group]
    return outcomes


def _execute(connection: sqlite3.Connection, work: _Work) -> _Outcome:
    """Execute one statement; SQLite rolls back a failed one alone, and the rest of the group goes on."""
    try:
        cursor = connection.execute(work.statement, work.parameters)
        rows = cursor.fetchall()
        return _Outcome(work.future, StatementResult(rows, cursor.rowcount))
    except Exception as exc:  # even an invalid parameter must not end the thread
        return _Outcome(work.future, error=exc)
