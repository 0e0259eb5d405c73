"""The latest events of the probe, kept in memory for the console: bounded, and written at any time.

A finalizer or a signal handler may write, so nothing takes a lock: each `append` is one step of the
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
    """Keeps the newest events of each kind."""

    def __init__(self) -> None:
        self._blocks: deque[Blocked] = deque(maxlen=BLOCKS)
        self._lasting: dict[int, Blocked] = {}  # by loop: the block that had not ended when it was written
        self._spans: deque[SpanEnded] = deque(maxlen=SPANS)
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._in_flight: dict[int, Any] = {}
        self.spans_dropped = 0  # begun while too many others were in flight

    def take(self, event: Event) -> None:
        """Keep an event that was written into the record."""
        if isinstance(event, Blocked):
            if event.ended:
                self._blocks.append(event)
            else:
                self._lasting[event.loop] = event
        elif isinstance(event, SpanEnded):
            self._spans.append(event)
        elif not isinstance(event, (ConsoleAudited, ConsoleCounted)):
            self._events.append(event)

    def span_began(self, span: Any) -> None:
        """Keep an OpenTelemetry span that begins."""
        if len(self._in_flight) < IN_FLIGHT:
            self._in_flight[span.get_span_context().span_id] = span
        else:
            self.spans_dropped += 1

    def span_ended(self, span: Any) -> None:
        """Forget a span in flight that ends."""
        # By its id: a processor is given a copy of the span at its end.
        self._in_flight.pop(span.get_span_context().span_id, None)

    def blocks(self) -> Sequence[Blocked]:
        """The blocks, those that have ended first, oldest first; each once: ended if it has."""
        lasting = tuple(self._lasting.copy().values())
        latest = {(block.loop, block.at_ns): block for block in (*lasting, *_copied(self._blocks))}
        return tuple(sorted(latest.values(), key=lambda block: not block.ended))

    def spans(self) -> Sequence[SpanEnded]:
        """The spans that have ended, oldest first."""
        return _copied(self._spans)

    def in_flight(self) -> Sequence[Any]:
        """The OpenTelemetry spans that have begun and not ended."""
        return tuple(self._in_flight.copy().values())

    def events(self) -> Sequence[Event]:
        """All other events, oldest first: task losses, faults, artefacts."""
        return _copied(self._events)


def _copied(items: deque[T]) -> tuple[T, ...]:
    # Copying a deque is one step of the interpreter; iterating over it is not.
    return tuple(items.copy())
