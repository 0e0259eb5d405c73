"""Limits of a healthy service, independent of the scenario's expectations.

A failed check does not change the exit status, which depends on the expectations alone (`expectation.py`). It
shows where to start, and what could be gained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..blocks.impact import p99_ms
from ..evidence import Evidence
from ..units import duration, ms, percent

# A request takes many turns, and each of them can be this late.
LAG_P99_MS = 10.0
# With random arrivals, a queue has rho / (1 - rho) entries on average: 2.3 at this load, and beyond it more
# and more steeply without bound.
BUSY_RATIO = 0.7
# Above this, the probe itself may distort the measurement.
CPU_RATIO = 1.05


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One figure and its limit, the highest value that passes."""

    name: str
    title: str  # what passing means
    unit: str  # "ms", "share", "ratio", or what is counted
    limit: float
    value: float
    passed: bool
    gain: str  # an estimate of what could be gained; "" for none


def health_checks(evidence: Evidence) -> tuple[HealthCheck, ...]:
    """The checks that this run has a figure for, failed ones first."""
    return tuple(sorted(_checks(evidence), key=lambda check: check.passed))


def _checks(evidence: Evidence) -> Iterator[HealthCheck]:
    loop, load, ledger, overhead = evidence.loop, evidence.load, evidence.ledger, evidence.overhead
    if loop.lag_ms.max is not None:
        limit_ms = ms(evidence.history.run.block_limit_ns)
        title = "No loop turn longer than the block limit"
        yield _check("longest_turn", title, "ms", limit_ms, loop.lag_ms.max, _gain(evidence))
    if loop.lag_ms.p99 is not None:
        yield _check("lag_p99", "Ready work starts promptly (p99 lag)", "ms", LAG_P99_MS, loop.lag_ms.p99)
    if loop.busy_ratio is not None:
        room = _room(evidence)
        yield _check("busy", "The loop has spare capacity", "share", BUSY_RATIO, loop.busy_ratio, room)
    if load is not None:
        yield _check("failed", "No failed request", "requests", 0, load.failed)
    if ledger is not None:
        lost = ledger.lost + ledger.acked_unsaved
        yield _check("lost", "No message lost or acked without being saved", "messages", 0, lost)
    if loop.tasks.leaked is not None:
        yield _check("leaked_tasks", "No task leak", "tasks", 0, loop.tasks.leaked)
    if loop.tasks.destroyed_pending is not None:
        destroyed = loop.tasks.destroyed_pending
        yield _check("destroyed_tasks", "No pending task destroyed", "tasks", 0, destroyed)
    if evidence.spans.recorded and evidence.spans.orphans is not None:
        cut_off = sum(broken.count for broken in evidence.broken_traces)
        yield _check("orphans", "Every span has its parent", "spans", 0, evidence.spans.orphans + cut_off)
    if evidence.new_calls is not None:
        yield _check("calls", "No new synchronous call on the loop", "places", 0, evidence.new_calls)
    if (loop.turns or loop.untimed) and overhead.events_dropped is not None:
        yield _check("dropped", "No events dropped", "events", 0, overhead.events_dropped)
    if overhead.cpu_ratio is not None:
        yield _check(
            "overhead", "Low CPU overhead of the measurement", "ratio", CPU_RATIO, overhead.cpu_ratio
        )


def _check(name: str, title: str, unit: str, limit: float, value: float, gain: str = "") -> HealthCheck:
    passed = value <= limit
    return HealthCheck(name, title, unit, limit, value, passed, "" if passed else gain)


def _gain(evidence: Evidence) -> str:
    p99_gain_ms = p99_ms(evidence.history, evidence.blocks) if evidence.blocks else None
    return f"p99 −{duration(p99_gain_ms)} without the blocks" if p99_gain_ms else _room(evidence)


def _room(evidence: Evidence) -> str:
    ran_ms = (evidence.loop.ran_s or 0.0) * 1000
    share = min(1.0, evidence.held_ms / ran_ms) if ran_ms else 0.0
    return f"would free {percent(share)} of loop time" if share else ""
