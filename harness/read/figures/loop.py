"""How busy the event loops were, and their lag: the delay of work that becomes due at a random moment.

Lag is weighted by time, not by turns: work that becomes due inside a turn waits for the rest of that turn,
work that becomes due outside waits for nothing. So P(lag > x) is the sum of (length - x) over the turns
longer than x, divided by the time the loop ran. By a histogram of turns, a loop with a million short turns
would look healthy even if it were blocked for a tenth of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...record.page import UNCOUNTED
from ..blocks.late_turn import last_turn_ns
from ..history import History, Loop
from ..units import duration, ms, percent, plural, seconds
from .target import unwatched
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

    turns: int | None
    busy_ratio: float | None
    lag_ms: Lag
    tasks: Tasks
    blocked_turns: int | None  # turns over the limit by the loops' own counters, recorded or not
    ran_s: float | None  # all loops together
    loops: int = 0  # that were timed
    untimed: str = ""  # a kind of loop whose turns were not timed one by one, so that the lag is unknown
    busy_least_ratio: float | None = None  # a lower bound, where *busy_ratio* could not be measured


def figures(history: History, tasks: Tasks) -> LoopFigures:
    """The figures of the loops' counters; null where no loop was timed."""
    if unwatched(history):
        return LoopFigures(None, None, Lag(None, None, None), tasks, None, None)
    ran_ns = sum(loop.ran_ns for loop in history.loops)
    busy_ns = sum(_busy_ns(loop, history) for loop in history.loops)
    busy_ratio = round(min(1.0, busy_ns / ran_ns), 6) if ran_ns else None
    pages = [loop.page for loop in history.loops if loop.page]
    is_counted = not any(page.untimed & UNCOUNTED for page in pages)
    return LoopFigures(
        turns=sum(page.turns for page in pages) if is_counted else None,
        busy_ratio=busy_ratio if is_counted else None,
        lag_ms=_lag(history, ran_ns),
        tasks=tasks,
        blocked_turns=sum(loop.page.blocks for loop in history.loops if loop.page),
        ran_s=ran_s(history),
        loops=len(pages),
        untimed=next((loop.started.kind for loop in history.loops if loop.page and loop.page.untimed), ""),
        busy_least_ratio=None if is_counted else busy_ratio,
    )


def _lag(history: History, ran_ns: int) -> Lag:
    if not ran_ns:
        return Lag(None, None, None)
    longest_ns = _longest_ns(history)
    if any(loop.page and loop.page.untimed for loop in history.loops):
        # Of turns that are not timed, only those over the limit are known one by one.
        is_known = longest_ns >= history.run.block_limit_ns
        return Lag(None, None, ms(longest_ns) if is_known else None)
    turns = [turn for loop in history.loops for turn in _turns(loop, history)]
    return Lag(*map(ms, (lag_ns(turns, ran_ns, 0.5), lag_ns(turns, ran_ns, 0.99), longest_ns)))


def sentence(figures: LoopFigures) -> str:
    """The figures in one line, and which of them could not be measured."""
    lag, kind = figures.lag_ms, figures.untimed
    busy = percent(figures.busy_ratio)
    if figures.busy_ratio is None and figures.busy_least_ratio is not None:
        busy = f"at least {percent(figures.busy_least_ratio)}"
    text = f"busy {busy}" + (f" in {plural(figures.turns, 'turn')}" if figures.turns is not None else "")
    if not kind:
        text += f"; lag p50 {duration(lag.p50)}, p99 {duration(lag.p99)}"
    text += f", longest turn {duration(lag.max)}" if lag.max is not None else ""
    return f"{text}; not measurable under {kind}: {_unknown(figures)}" if kind else text


def _unknown(figures: LoopFigures) -> str:
    parts = ["turns"] * (figures.turns is None) + ["lag"]
    return ", ".join([*parts, "turns below the block limit"])


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


def _busy_ns(loop: Loop, history: History) -> int:
    return (loop.page.busy_ns if loop.page else 0) + sum(_unended(loop, history))


def _unended(loop: Loop, history: History) -> list[int]:
    """The late turn in progress when the process ended or the counters were read, up to that moment."""
    return [lasted_ns] if (lasted_ns := last_turn_ns(loop, history)) else []


def _longest_ns(history: History) -> int:
    known = [loop.page.longest_ns for loop in history.loops if loop.page]
    return max([*known, *(ns for loop in history.loops for ns in _unended(loop, history))], default=0)
