"""Deliveries that do not count against their message."""

from __future__ import annotations

# Upper bound on tracked messages, a few megabytes; the oldest is evicted.
MAX_FORGIVEN = 10_000


class ForgivenDeliveries:
    """Counts, per message, the deliveries that failed through no fault of the message.

    A broker counts every delivery. Only the consumer knows that the store was unavailable during one, and
    keeps that in memory: after a restart, the broker's count applies in full.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, message_id: str) -> None:
        """Forgive one more delivery of the message."""
        self._counts[message_id] = self._counts.pop(message_id, 0) + 1
        if len(self._counts) > MAX_FORGIVEN:
            del self._counts[next(iter(self._counts))]

    def of(self, message_id: str) -> int:
        """The number of forgiven deliveries of the message."""
        return self._counts.get(message_id, 0)

    def forget(self, message_id: str) -> None:
        """Drop a message that is settled for good."""
        self._counts.pop(message_id, None)
