"""A store in a table of a SQLite file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ..database import Database, open_readonly, shared, sqlite_path
from ..errors import MalformedMessageError

SCHEMA = """
    CREATE TABLE IF NOT EXISTS saved (
        message_id TEXT PRIMARY KEY,
        host TEXT NOT NULL,
        saved_at REAL NOT NULL,              -- the first time
        times INTEGER NOT NULL
    ) WITHOUT ROWID
"""
SAVE = """
    INSERT INTO saved (message_id, host, saved_at, times) VALUES (?, ?, ?, 1)
    ON CONFLICT (message_id) DO UPDATE SET times = times + 1
"""


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[SqliteStore]:
    """The store in the file of *url*: ``sqlite:PATH``.

    Raises:
        SettingsError: *url* names no file.
        StorageError: The file cannot be opened, or is not a database.
    """
    async with shared(sqlite_path(url)) as database:
        store = SqliteStore(database)
        await store.create()
        yield store


async def times_saved(url: str) -> dict[str, int]:
    """Return how often each message was saved, by id; creates nothing.

    Raises:
        SettingsError: *url* names no file.
        StorageError: The table is missing, or cannot be read.
    """
    return await asyncio.to_thread(_times_saved, sqlite_path(url))


def _times_saved(path: Path) -> dict[str, int]:
    with open_readonly(path) as connection:
        return dict(connection.execute("SELECT message_id, times FROM saved"))


class SqliteStore:
    """One row per message, however often it is saved."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self) -> None:
        """Create the table if it does not exist."""
        await self._database.execute(SCHEMA)

    async def save(self, message_id: str, host: str) -> None:
        try:
            await self._database.execute(SAVE, message_id, host, time.time())
        except UnicodeEncodeError as exc:
            raise MalformedMessageError(f"{message_id!r} and {host!r} cannot be stored: {exc}") from exc
