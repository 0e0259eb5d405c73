"""What a healthy service looks like, figure by figure: a limit for each, whatever the scenario asks.

An audit that fails decides nothing: the exit status is made of what was expected (`expectation.py`). It says
where to look first, and what there is to be gained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..figures.load import Load
from ..figures.loop import LoopFigures
from ..figures.overhead import Overhead
from ..spans.span import SpanFigures
from ..units import duration, percent

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


@dataclass(frozen=True, slots=True)
class HealthInputs:
    """What the audits look at."""

    block_limit_ms: float
    loop: LoopFigures
    held_ms: float  # by all blocks
    load: Load | None
    p99_gain_ms: float | None  # of latency, without any block
    lost: int | None  # messages: lost, or acked without being saved; null without a ledger
    spans: SpanFigures
    new_calls: int | None  # null when calls were not counted
    overhead: Overhead


def health_checks(run: HealthInputs) -> tuple[HealthCheck, ...]:
    """Those that this run has a figure for: the failed ones first."""
    return tuple(sorted(_audits(run), key=lambda audit: audit.passed))


def _audits(run: HealthInputs) -> Iterator[HealthCheck]:
    loop, load = run.loop, run.load
    if loop.lag_ms.max is not None:
        yield _audit(
            "longest_turn",
            "No turn of the loop is a block",
            "ms",
            run.block_limit_ms,
            loop.lag_ms.max,
            _gain(run),
        )
    if loop.lag_ms.p99 is not None:
        yield _audit("lag_p99", "What is due starts soon (lag, p99)", "ms", LAG_P99_MS, loop.lag_ms.p99)
    if loop.busy_ratio is not None:
        yield _audit("busy", "The loop has room for more", "share", BUSY_RATIO, loop.busy_ratio, _room(run))
    if load is not None:
        yield _audit("failed", "Every request is answered", "requests", 0, load.failed)
    if run.lost is not None:
        yield _audit("lost", "No message is lost, or acked unsaved", "messages", 0, run.lost)
    if loop.tasks.leaked is not None:
        yield _audit("leaked_tasks", "No crowd of tasks only grows", "tasks", 0, loop.tasks.leaked)
    if loop.tasks.destroyed_pending is not None:
        yield _audit(
            "destroyed_tasks", "No task is collected before its end", "tasks", 0, loop.tasks.destroyed_pending
        )
    if run.spans.recorded:
        yield _audit("orphans", "Every span has its parent", "spans", 0, run.spans.orphans)
    if run.new_calls is not None:
        yield _audit("calls", "No new synchronous call on the loop", "places", 0, run.new_calls)
    if loop.turns:
        yield _audit("dropped", "The record has all that was seen", "events", 0, run.overhead.events_dropped)
    if run.overhead.cpu_ratio is not None:
        yield _audit("overhead", "Measuring costs little CPU", "ratio", CPU_RATIO, run.overhead.cpu_ratio)


def _audit(name: str, title: str, unit: str, limit: float, value: float, gain: str = "") -> HealthCheck:
    passed = value <= limit
    return HealthCheck(name, title, unit, limit, value, passed, "" if passed else gain)


def _gain(run: HealthInputs) -> str:
    if run.p99_gain_ms:
        return f"p99 −{duration(run.p99_gain_ms)} without the blocks"
    return _room(run)


def _room(run: HealthInputs) -> str:
    share = min(1.0, run.held_ms / (run.loop.ran_s * 1000)) if run.loop.ran_s else 0.0
    return f"{percent(share)} of the loop's time without the blocks" if share else ""
