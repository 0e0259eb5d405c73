"""The load and the latency of its requests, measured from when they were due.

A request that was never answered counts as failed, with the time from its due time to the end of the record
as its latency; otherwise a target would look faster the more requests it loses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...record.event import LoadEnded, LoadStarted
from ..history import History, Request
from ..percentile import percentiles
from ..units import duration, in_ms
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
class TaggedLoad:
    """The requests with one tag."""

    sent: int
    completed: int
    failed: int
    latency_ms: Latency


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
    tag: dict[str, TaggedLoad] = field(default_factory=dict)  # by each tag of the requests
    warm_up: int = 0  # requests that were due in the warm-up, which are in none of the figures
    model: str = "open"  # "closed": users who wait for their answers, so that a slow target gets less load


def has_load(history: History) -> bool:
    """Whether a driver sent requests, or was to."""
    return bool(history.requests or history.of(LoadStarted))


def load(history: History) -> Load | None:
    """The figures of all drivers together; `None` for a run without load."""
    if not has_load(history):
        return None
    requests = [request for request in history.requests if request.counts]
    warm_up = len(history.requests) - len(requests)
    late = [
        r.sent_ns - r.intended_ns for r in requests if r.intended_ns is not None and r.sent_ns is not None
    ]
    tagged: dict[str, list[Request]] = {}
    for request in requests:
        for tag in request.tags:
            tagged.setdefault(tag, []).append(request)
    whole = _of(requests, history)
    return Load(
        # A driver that was killed did not record how many requests were due.
        offered=max(sum(event.offered for event in history.of(LoadEnded)) - warm_up, len(requests)),
        sent=whole.sent,
        completed=whole.completed,
        failed=whole.failed,
        late_ms=Late(*in_ms(percentiles(late, (0.5, 0.99, 1)))),
        latency_ms=whole.latency_ms,
        failures=load_failures(requests),
        tag={tag: _of(tagged[tag], history) for tag in sorted(tagged)},
        warm_up=warm_up,
        model="closed" if any(e.arrival == "closed" for e in history.of(LoadStarted)) else "open",
    )


def sentence(load: Load | TaggedLoad) -> str:
    """The figures in one line."""
    latency = load.latency_ms
    of = f" of {load.offered:,}" if isinstance(load, Load) else ""
    text = (
        f"{load.sent:,}{of} sent, {load.completed:,} completed, {load.failed:,} failed; "
        f"latency p50 {duration(latency.p50)}, p99 {duration(latency.p99)}, max {duration(latency.max)}"
    )
    warm_up = load.warm_up if isinstance(load, Load) else 0
    return f"{text}; not counted: {warm_up:,} of the warm-up" if warm_up else text


def _of(requests: Sequence[Request], history: History) -> TaggedLoad:
    completed = sum(request.ok for request in requests)
    due = [(r.intended_ns, r.done_ns) for r in requests if r.intended_ns is not None]
    latency = [(done_ns or history.ended_ns) - due_ns for due_ns, done_ns in due]
    if not completed and all(request.done_ns is not None for request in requests):
        latency = []  # how soon requests are refused is no latency of the service
    return TaggedLoad(
        sent=sum(request.sent_ns is not None for request in requests),
        completed=completed,
        failed=len(requests) - completed,
        latency_ms=Latency(*in_ms(percentiles(latency, (0.5, 0.9, 0.95, 0.99, 0.999, 1)))),
    )
