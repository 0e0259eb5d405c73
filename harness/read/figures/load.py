"""What the load was and how the target answered it, from the moments the requests were due.

A request that was never answered counts as failed, and its latency as at least the time from when it was due
to the end of the record: leaving it out would make a target look faster the more it loses.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...record.event import LoadEnded, LoadStarted
from ..history import History
from ..percentile import percentiles
from ..units import ms


@dataclass(frozen=True, slots=True)
class Late:
    """How much later than due the driver sent; the driver's fault, never the target's."""

    p50: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class Latency:
    """From when a request was due to its answer."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class Load:
    """*sent* requests and the ones refused before that are *completed* (answered well) or *failed*."""

    offered: int  # due by the schedule
    sent: int
    completed: int
    failed: int
    late_ms: Late
    latency_ms: Latency


def load(history: History) -> Load | None:
    """The figures of all drivers together; `None` for a run without load."""
    if not history.requests and not history.of(LoadStarted):
        return None
    requests = history.requests
    completed = sum(request.ok for request in requests)
    late = [
        r.sent_ns - r.intended_ns for r in requests if r.sent_ns is not None and r.intended_ns is not None
    ]
    latency = [
        (request.done_ns or history.ended_ns) - request.intended_ns
        for request in requests
        if request.intended_ns is not None
    ]
    return Load(
        # A driver that was killed did not say how many it would have sent.
        offered=max(sum(event.offered for event in history.of(LoadEnded)), len(requests)),
        sent=len(late),
        completed=completed,
        failed=len(requests) - completed,
        late_ms=Late(*_in_ms(percentiles(late, (0.5, 0.99, 1)))),
        latency_ms=Latency(*_in_ms(percentiles(latency, (0.5, 0.9, 0.95, 0.99, 0.999, 1)))),
    )


def _in_ms(values_ns: tuple[float | None, ...]) -> tuple[float | None, ...]:
    return tuple(None if value is None else ms(value) for value in values_ns)
