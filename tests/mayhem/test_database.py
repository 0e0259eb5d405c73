"""The database's thread: group commits, errors per statement, and a loop that is never blocked."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.mayhem import database as database_module
from harness.mayhem.database import Database
from harness.mayhem.errors import StorageBrokenError, StorageUnavailableError
from harness.mayhem.stores.sqlite import SqliteStore

INSERT = "INSERT INTO t VALUES (?)"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Any]:
    async with Database(tmp_path / "a.db") as database:
        await database.execute("CREATE TABLE t (a TEXT PRIMARY KEY)")
        yield database


async def count(database: Database) -> int:
    return int((await database.execute("SELECT count(*) FROM t")).rows[0][0])


async def test_what_was_answered_is_committed(database: Database) -> None:
    """Once a statement has returned, another connection sees its effect."""
    await database.execute(INSERT, "x")

    with closing(sqlite3.connect(database.path)) as other:
        assert other.execute("SELECT a FROM t").fetchall() == [("x",)]


async def test_waiting_statements_share_a_commit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the file is busy, statements queue up and then share one commit; the loop is never blocked."""
    groups: list[int] = []
    commit = database_module._commit

    def counted(connection: sqlite3.Connection, group: list[Any]) -> list[Any]:
        groups.append(len(group))
        return list(commit(connection, group))

    monkeypatch.setattr(database_module, "_commit", counted)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = [asyncio.create_task(database.execute(INSERT, str(n))) for n in range(100)]
        while not groups:  # the loop runs while the thread waits for the file
            await asyncio.sleep(0)
        assert not any(task.done() for task in writing)
        other.execute("COMMIT")
        await asyncio.gather(*writing)

    assert sum(groups) == 100
    assert len(groups) <= 2


async def test_failing_statement_fails_alone(database: Database) -> None:
    """A statement that violates a constraint fails alone; the others of its group are committed."""
    results = await asyncio.gather(
        *(database.execute(INSERT, value) for value in ("x", "x", "y")), return_exceptions=True
    )

    assert [type(result).__name__ for result in results] == [
        "StatementResult",
        "StorageBrokenError",
        "StatementResult",
    ]
    assert await count(database) == 2


async def test_parameter_that_sqlite_cannot_take_harms_nobody_else(database: Database) -> None:
    """An invalid parameter is the caller's error, and the thread goes on."""
    with pytest.raises(UnicodeEncodeError):
        await database.execute(INSERT, "\ud800")
    await database.execute(INSERT, "x")

    assert await count(database) == 1


@pytest.mark.parametrize(
    ("statement", "error"),
    [("SELECT * FROM nowhere", StorageUnavailableError), ("SELECT 1; SELECT 2", StorageBrokenError)],
)
async def test_sqlite_errors_are_translated(
    statement: str, error: type[Exception], database: Database
) -> None:
    """SQLite's errors are raised as the service's, with the original as the cause."""
    with pytest.raises(error) as raised:
        await database.execute(statement)

    assert isinstance(raised.value.__cause__, sqlite3.Error | sqlite3.Warning)


async def test_busy_file_is_unavailable_not_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that stays locked is a temporary error."""
    monkeypatch.setattr(database_module, "BUSY_S", 0.05)
    async with Database(tmp_path / "a.db") as database:
        with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageUnavailableError, match="locked"):
                await database.execute("CREATE TABLE t (a)")
            other.execute("ROLLBACK")
        await database.execute("CREATE TABLE t (a)")

        assert await count(database) == 0


async def test_cancelled_wait_harms_nobody(database: Database) -> None:
    """A statement that was cancelled in the queue is not executed, and the next one is."""
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        cancelled = asyncio.create_task(database.execute(INSERT, "x"))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait({cancelled})
        other.execute("COMMIT")
    await database.execute(INSERT, "y")

    assert cancelled.cancelled()
    assert (await database.execute("SELECT a FROM t")).rows == [("y",)]


async def test_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """The error names the file, and no thread is left."""
    with pytest.raises(StorageBrokenError, match=r"nowhere/a\.db: cannot be opened"):
        async with Database(tmp_path / "nowhere" / "a.db"):
            pass

    text = tmp_path / "text"
    text.write_text("text" * 1000)
    with pytest.raises(StorageBrokenError, match="text: cannot be opened"):
        async with Database(text):
            pass
    for thread in threading.enumerate():
        if thread.name == "mayhem-database":
            thread.join(10)
            assert not thread.is_alive()


async def test_saving_twice_is_one_row(tmp_path: Path) -> None:
    """The store keeps one row per message and counts how often it was saved."""
    async with Database(tmp_path / "a.db") as database:
        store = SqliteStore(database)
        await store.create()
        for message_id in ("a", "b", "a"):
            await store.save(message_id, "web-1")

        table = await database.execute("SELECT message_id, host, times FROM saved ORDER BY message_id")
        assert table.rows == [("a", "web-1", 2), ("b", "web-1", 1)]
