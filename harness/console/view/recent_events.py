"""The latest events of the probe, kept in memory for the console; and the spans, which nothing else keeps."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...probe.kept_events import KeptEvents, copied
from ...record.observation import ConsoleAudited, ConsoleCounted, SpanEnded

if TYPE_CHECKING:
    from ...record.event import Event

# About a kilobyte each, with its attributes.
SPANS = 4_000
IN_FLIGHT = 10_000


class RecentEvents(KeptEvents):
    """Keeps the newest events of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self._spans: deque[SpanEnded] = deque(maxlen=SPANS)
        self._in_flight: dict[int, Any] = {}
        self.spans_dropped = 0  # begun while too many others were in flight

    def take(self, event: Event) -> None:
        """Keep an event that was written into the record."""
        if isinstance(event, SpanEnded):
            self._spans.append(event)
        elif not isinstance(event, (ConsoleAudited, ConsoleCounted)):
            super().take(event)

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

    def spans(self) -> Sequence[SpanEnded]:
        """The spans that have ended, oldest first."""
        return copied(self._spans)

    def in_flight(self) -> Sequence[Any]:
        """The OpenTelemetry spans that have begun and not ended."""
        return tuple(self._in_flight.copy().values())
