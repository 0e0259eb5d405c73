"""The latest of what the probe wrote, kept in memory for the console; bounded, and written at any time.

A finalizer or a signal handler may write, so nothing is locked: each `append` is one step for the
interpreter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ...record.observation import Blocked, ConsoleAudited, ConsoleCounted, SpanEnded

if TYPE_CHECKING:
    from ...record.event import Event

T = TypeVar("T")

BLOCKS = 500
# About a kilobyte each, with its attributes.
SPANS = 4_000
IN_FLIGHT = 10_000
EVENTS = 2_000


class RecentEvents:
    """Keeps the newest of each kind."""

    def __init__(self) -> None:
        # Each block may come twice.
        self._blocks: deque[Blocked] = deque(maxlen=2 * BLOCKS)
        self._spans: deque[SpanEnded] = deque(maxlen=SPANS)
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._in_flight: dict[int, Any] = {}
        self.spans_dropped = 0  # begun while too many others were in flight

    def take(self, event: Event) -> None:
        """One more was written."""
        if isinstance(event, Blocked):
            self._blocks.append(event)
        elif isinstance(event, SpanEnded):
            self._spans.append(event)
        elif not isinstance(event, (ConsoleAudited, ConsoleCounted)):
            self._events.append(event)

    def span_began(self, span: Any) -> None:
        """An OpenTelemetry span begins."""
        if len(self._in_flight) < IN_FLIGHT:
            self._in_flight[span.get_span_context().span_id] = span
        else:
            self.spans_dropped += 1

    def span_ended(self, span: Any) -> None:
        """It ends."""
        # Not the object that began: what a processor is given at the end is a copy.
        self._in_flight.pop(span.get_span_context().span_id, None)

    def blocks(self) -> Sequence[Blocked]:
        """Oldest first, one for each block: the finished one where there are both."""
        latest: dict[tuple[int, int], Blocked] = {}
        for block in _copied(self._blocks):
            known = latest.get((block.loop, block.at_ns))
            if known is None or not known.ended:
                latest[block.loop, block.at_ns] = block
        return tuple(latest.values())[-BLOCKS:]

    def spans(self) -> Sequence[SpanEnded]:
        """Those that have ended, oldest first."""
        return _copied(self._spans)

    def in_flight(self) -> Sequence[Any]:
        """The OpenTelemetry spans that have begun and not ended."""
        return tuple(self._in_flight.copy().values())

    def events(self) -> Sequence[Event]:
        """All the others, oldest first."""
        return _copied(self._events)


def _copied(items: deque[T]) -> tuple[T, ...]:
    # A copy is made in one step of the interpreter; to go through the deque itself is not.
    return tuple(items.copy())
