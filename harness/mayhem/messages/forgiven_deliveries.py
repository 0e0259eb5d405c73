"""Deliveries that are not held against their message."""

from __future__ import annotations

# Of so many messages it is known; beyond, the oldest is forgotten. A few megabytes.
MAX_FORGIVEN = 10_000


class ForgivenDeliveries:
    """Counts, by message, the deliveries that failed for no fault of its own.

    A broker counts every delivery alike. That a store was away meanwhile, only the consumer knows, and it
    keeps that in memory: after its restart the broker's count alone is valid again.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, message_id: str) -> None:
        """One more delivery of the message does not count."""
        self._counts[message_id] = self._counts.pop(message_id, 0) + 1
        if len(self._counts) > MAX_FORGIVEN:
            del self._counts[next(iter(self._counts))]

    def of(self, message_id: str) -> int:
        """How many deliveries of the message do not count."""
        return self._counts.get(message_id, 0)

    def forget(self, message_id: str) -> None:
        """The message is settled for good."""
        self._counts.pop(message_id, None)
