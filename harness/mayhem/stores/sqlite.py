"""A store in a table of a SQLite file."""

from __future__ import annotations

import time

from ..database import Database

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


class SqliteStore:
    """One row per message, however often it is saved."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self) -> None:
        """Create what is not there yet."""
        await self._database.execute(SCHEMA)

    async def save(self, message_id: str, host: str) -> None:
        await self._database.execute(SAVE, message_id, host, time.time())
