"""What a healthy service looks like, figure by figure: a limit for each, whatever the scenario asks.

An audit that fails decides nothing: the exit status is made of what was expected (`expectation.py`). It says
where to look first, and what there is to be gained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..blocks.impact import p99_ms
from ..evidence import Evidence
from ..units import duration, ms, percent

# One moment of a hundred may be later than this: a request has many turns, and each may wait so long.
LAG_P99_MS = 10.0
# A queue in front of something that is busy this share of its time is twice as long as what it works on, and
# grows without bounds from here: rho / (1 - rho) for arrivals at random.
BUSY_RATIO = 0.7
# A probe that costs more than this may be what is measured.
CPU_RATIO = 1.05


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One figure held against its limit, which is the highest that passes."""

    name: str
    title: str  # what passing means, as a sentence
    unit: str  # "ms", "share", "ratio", or what is counted
    limit: float
    value: float
    passed: bool
    gain: str  # what there is to be gained, as far as it can be estimated; "" for not known


def health_checks(evidence: Evidence) -> tuple[HealthCheck, ...]:
    """Those that this run has a figure for: the failed ones first."""
    return tuple(sorted(_checks(evidence), key=lambda check: check.passed))


def _checks(evidence: Evidence) -> Iterator[HealthCheck]:
    loop, load, ledger, overhead = evidence.loop, evidence.load, evidence.ledger, evidence.overhead
    if loop.lag_ms.max is not None:
        limit_ms = ms(evidence.history.run.block_limit_ns)
        title = "No turn of the loop is a block"
        yield _check("longest_turn", title, "ms", limit_ms, loop.lag_ms.max, _gain(evidence))
    if loop.lag_ms.p99 is not None:
        yield _check("lag_p99", "What is due starts soon (lag, p99)", "ms", LAG_P99_MS, loop.lag_ms.p99)
    if loop.busy_ratio is not None:
        room = _room(evidence)
        yield _check("busy", "The loop has room for more", "share", BUSY_RATIO, loop.busy_ratio, room)
    if load is not None:
        yield _check("failed", "Every request is answered", "requests", 0, load.failed)
    if ledger is not None:
        lost = ledger.lost + ledger.acked_unsaved
        yield _check("lost", "No message is lost, or acked unsaved", "messages", 0, lost)
    if loop.tasks.leaked is not None:
        yield _check("leaked_tasks", "No crowd of tasks only grows", "tasks", 0, loop.tasks.leaked)
    if loop.tasks.destroyed_pending is not None:
        destroyed = loop.tasks.destroyed_pending
        yield _check("destroyed_tasks", "No task is collected before its end", "tasks", 0, destroyed)
    if evidence.spans.recorded:
        yield _check("orphans", "Every span has its parent", "spans", 0, evidence.spans.orphans)
    if evidence.new_calls is not None:
        yield _check("calls", "No new synchronous call on the loop", "places", 0, evidence.new_calls)
    if loop.turns:
        yield _check("dropped", "The record has all that was seen", "events", 0, overhead.events_dropped)
    if overhead.cpu_ratio is not None:
        yield _check("overhead", "Measuring costs little CPU", "ratio", CPU_RATIO, overhead.cpu_ratio)


def _check(name: str, title: str, unit: str, limit: float, value: float, gain: str = "") -> HealthCheck:
    passed = value <= limit
    return HealthCheck(name, title, unit, limit, value, passed, "" if passed else gain)


def _gain(evidence: Evidence) -> str:
    p99_gain_ms = p99_ms(evidence.history, evidence.blocks) if evidence.blocks else None
    return f"p99 −{duration(p99_gain_ms)} without the blocks" if p99_gain_ms else _room(evidence)


def _room(evidence: Evidence) -> str:
    ran_ms = evidence.loop.ran_s * 1000
    share = min(1.0, evidence.held_ms / ran_ms) if ran_ms else 0.0
    return f"{percent(share)} of the loop's time without the blocks" if share else ""
