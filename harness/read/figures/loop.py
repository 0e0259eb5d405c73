"""How busy the event loops were, and their lag: the delay of work that becomes due at a random moment.

Lag is weighted by time, not by turns: work that becomes due inside a turn waits for the rest of that turn,
work that becomes due outside waits for nothing. So P(lag > x) is the sum of (length - x) over the turns
longer than x, divided by the time the loop ran. By a histogram of turns, a loop with a million short turns
would look healthy even if it were blocked for a tenth of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..blocks.last_turn import last_turn_ns
from ..history import History, Loop
from ..units import ms, seconds
from .task import Tasks


@dataclass(frozen=True, slots=True)
class Lag:
    """The delay of work that becomes due at a random moment, in ms; *max* is the longest turn."""

    p50: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class LoopFigures:
    """All loops of the target together, each weighted by the time it ran."""

    turns: int
    busy_ratio: float | None
    lag_ms: Lag
    tasks: Tasks
    blocked_turns: int  # turns over the limit by the loops' own counters, recorded or not
    ran_s: float  # all loops together
    loops: int = 0  # that were timed


def figures(history: History, tasks: Tasks) -> LoopFigures:
    """The figures of the loops' counters; null where no loop was timed."""
    turns = [turn for loop in history.loops for turn in _turns(loop, history)]
    ran_ns = sum(loop.ran_ns for loop in history.loops)
    busy_ns = sum(count * length for count, length in turns)
    lags = (lag_ns(turns, ran_ns, 0.5), lag_ns(turns, ran_ns, 0.99), _longest_ns(history)) if ran_ns else ()
    return LoopFigures(
        turns=sum(loop.page.turns for loop in history.loops if loop.page),
        busy_ratio=round(min(1.0, busy_ns / ran_ns), 6) if ran_ns else None,
        lag_ms=Lag(*map(ms, lags)) if lags else Lag(None, None, None),
        tasks=tasks,
        blocked_turns=sum(loop.page.blocks for loop in history.loops if loop.page),
        ran_s=ran_s(history),
        loops=sum(loop.page is not None for loop in history.loops),
    )


def ran_s(history: History) -> float:
    """The time all loops ran, added up."""
    return seconds(sum(loop.ran_ns for loop in history.loops))


def lag_ns(turns: list[tuple[int, float]], ran_ns: float, share: float) -> float:
    """The smallest lag that *share* of all moments does not exceed.

    Args:
        turns: Pairs of a number of turns and their length in nanoseconds.
        ran_ns: How long the loop ran, > 0.
        share: A share of all moments, 0 to 1.
    """
    beyond_ns = (1 - share) * ran_ns
    count, total = 0, 0.0
    longest_first = sorted(turns, key=lambda turn: -turn[1])
    for index, (number, length) in enumerate(longest_first):
        count += number
        total += number * length
        shorter = longest_first[index + 1][1] if index + 1 < len(longest_first) else 0.0
        # Between two neighbouring lengths the time beyond x is the straight line total - count * x.
        if total - count * shorter >= beyond_ns:
            return max(0.0, (total - beyond_ns) / count)
    return 0.0


def _turns(loop: Loop, history: History) -> list[tuple[int, float]]:
    page = loop.page
    if page is None:
        return []
    pairs = zip(page.counts, page.sums_ns, strict=True)
    return [
        *((count, total / count) for count, total in pairs if count),
        *((1, ns) for ns in _unended(loop, history)),
    ]


def _unended(loop: Loop, history: History) -> list[int]:
    """The late turn in progress when the process ended or the counters were read, up to that moment."""
    return [lasted_ns] if (lasted_ns := last_turn_ns(loop, history)) else []


def _longest_ns(history: History) -> int:
    known = [loop.page.longest_ns for loop in history.loops if loop.page]
    return max([*known, *(ns for loop in history.loops for ns in _unended(loop, history))], default=0)
