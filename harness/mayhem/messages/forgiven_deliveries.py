"""Deliveries that are not held against their message."""

from __future__ import annotations

# Of so many messages it is known; beyond, the oldest is forgotten. A few megabytes.
MAX_EXCUSED = 10_000


class Excuses:
    """Counts, by message, the deliveries that failed for no fault of its own.

    A broker counts every delivery alike. That a store was away meanwhile, only the consumer knows, and it
    keeps that in memory: after its restart the broker's count alone is valid again.
    """

    def __init__(self) -> None:
        self._excused: dict[str, int] = {}

    def add(self, message_id: str) -> None:
        """One more delivery of the message does not count."""
        self._excused[message_id] = self._excused.pop(message_id, 0) + 1
        if len(self._excused) > MAX_EXCUSED:
            del self._excused[next(iter(self._excused))]

    def of(self, message_id: str) -> int:
        """How many deliveries of the message do not count."""
        return self._excused.get(message_id, 0)

    def forget(self, message_id: str) -> None:
        """The message is settled for good."""
        self._excused.pop(message_id, None)
