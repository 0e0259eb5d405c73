"""A store in this process's memory, for tests and first steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[MemoryStore]:
    """Make a new store, which ends with the process; only the scheme of *url* counts."""
    yield MemoryStore()


class MemoryStore:
    """Keeps the first host of each message, and counts its saves."""

    def __init__(self) -> None:
        self.hosts: dict[str, str] = {}  # by message id
        self.times: Counter[str] = Counter()  # by message id

    async def save(self, message_id: str, host: str) -> None:
        self.hosts.setdefault(message_id, host)
        self.times[message_id] += 1
