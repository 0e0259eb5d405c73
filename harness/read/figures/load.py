"""The load and the latency of its requests, measured from when they were due.

A request that was never answered counts as failed, with the time from its due time to the end of the record
as its latency; otherwise a target would look faster the more requests it loses.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...record.event import LoadEnded, LoadStarted
from ..history import History
from ..percentile import percentiles
from ..units import in_ms
from .load_failure import LoadFailure, load_failures


@dataclass(frozen=True, slots=True)
class Late:
    """How late the driver sent requests, in ms; caused by the driver, never by the target."""

    p50: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class Latency:
    """From the due time of a request to its answer, in ms."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class Load:
    """Every request is *completed* (answered successfully) or *failed*, sent or refused before."""

    offered: int  # due by the schedule
    sent: int
    completed: int
    failed: int
    late_ms: Late
    latency_ms: Latency
    failures: tuple[LoadFailure, ...] = ()  # of those that failed, most frequent first


def has_load(history: History) -> bool:
    """Whether a driver sent requests, or was to."""
    return bool(history.requests or history.of(LoadStarted))


def load(history: History) -> Load | None:
    """The figures of all drivers together; `None` for a run without load."""
    if not has_load(history):
        return None
    requests = history.requests
    completed = sum(request.ok for request in requests)
    due = [(r.intended_ns, r.sent_ns, r.done_ns) for r in requests if r.intended_ns is not None]
    late = [sent_ns - due_ns for due_ns, sent_ns, _ in due if sent_ns is not None]
    latency = [(done_ns or history.ended_ns) - due_ns for due_ns, _, done_ns in due]
    if not completed and all(request.done_ns is not None for request in requests):
        latency = []  # how soon requests are refused is no latency of the service
    return Load(
        # A driver that was killed did not record how many requests were due.
        offered=max(sum(event.offered for event in history.of(LoadEnded)), len(requests)),
        sent=len(late),
        completed=completed,
        failed=len(requests) - completed,
        late_ms=Late(*in_ms(percentiles(late, (0.5, 0.99, 1)))),
        latency_ms=Latency(*in_ms(percentiles(latency, (0.5, 0.9, 0.95, 0.99, 0.999, 1)))),
        failures=load_failures(requests),
    )
