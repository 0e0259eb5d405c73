"""A store in this process's memory: for tests and for a first look."""

from __future__ import annotations

from collections import Counter


class MemoryStore:
    """Counts how often each message was saved."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()  # by message id

    async def save(self, message_id: str, host: str) -> None:
        self.times[message_id] += 1
