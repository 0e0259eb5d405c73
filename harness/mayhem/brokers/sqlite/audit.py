"""The ledger of a queue in SQLite: every message ever published, in one snapshot."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ...database import open_readonly, sqlite_path
from ...ledger import BrokerAudit

FIGURES = """
    SELECT
        (SELECT count(*) FROM published) AS published,
        (SELECT count(*) FROM message WHERE state = 'acked') AS acked,
        (SELECT total(nacks) FROM message) AS nacked,
        (SELECT total(max(deliveries - 1, 0)) FROM message) AS redelivered,
        (SELECT count(*) FROM message WHERE state = 'dead') AS dead_lettered,
        (SELECT count(*) FROM message WHERE state = 'waiting') AS waiting
"""
ACKS = "SELECT id, deliveries FROM message WHERE state = 'acked'"


async def audit(url: str) -> BrokerAudit:
    """Count the messages, and create nothing; the service may be running.

    Raises:
        StorageError: The file is not a database of the service, or cannot be read.
    """
    return await asyncio.to_thread(_audit, sqlite_path(url))


def _audit(path: Path) -> BrokerAudit:
    with open_readonly(path) as connection:
        connection.execute("BEGIN")
        figures = map(int, connection.execute(FIGURES).fetchone())
        published, acked, nacked, redelivered, dead_lettered, waiting = figures
        acks = dict(connection.execute(ACKS))
    return BrokerAudit(published, acked, acks, nacked, redelivered, dead_lettered, waiting)
