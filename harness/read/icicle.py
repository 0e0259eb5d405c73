"""The samples of a run added up: which calls made which, for how long, in which thread, span and coroutine.

Tasks are told apart by their coroutine: there are too many of them, and those of one coroutine do the same.
All is numbered, so that it stays small enough for a page.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from ..record.event import Frame
from .blame import Territory
from .history import History
from .sample import taken

T = TypeVar("T")

EXECUTOR = "executor"  # a sample's way: a thread that works for a loop, not the loop's own

# Calls beyond these would be too thin to be seen; what they took is told.
CALLS = 2_000
# Longer names are cut: they come from the target, and the page has a bound.
LETTERS = 80
# Of each trace, the calls that it was met in most.
TRACED = 5


class Called(NamedTuple):
    """A line that calls."""

    function: str
    where: str  # file and line below the application's folder, for people
    own: bool  # the program's own code


class Row(NamedTuple):
    """The time that was spent in one call by itself; all but the last are numbers of the icicle's lists."""

    thread: int
    coroutine: int
    span: int
    call: int  # 0 for none: the loop itself
    took_ms: float


class Traced(NamedTuple):
    """A call that a trace was met in."""

    trace_id: str
    call: int
    took_ms: float


@dataclass(frozen=True, slots=True)
class Thread:
    """Where samples came from. *way* as in `Sampled`, or "late" for looks at late turns."""

    name: str
    way: str
    on_loop: bool


@dataclass(frozen=True, slots=True)
class Icicle:
    """The tree of calls, numbered from 1; *callers* has for each the one it was made by, 0 for none."""

    threads: tuple[Thread, ...]
    coroutines: tuple[str, ...]  # "" for a plain callback
    spans: tuple[str, ...]  # "" for none
    lines: tuple[Called, ...] = field(repr=False)
    callers: tuple[int, ...] = field(repr=False)
    called: tuple[int, ...] = field(repr=False)  # of each call: its line
    rows: tuple[Row, ...] = field(repr=False)  # those with the most time first
    traced: tuple[Traced, ...] = field(repr=False)
    left_out_ms: float  # in calls that found no place here


def icicle(history: History, trace_ids: Collection[str]) -> Icicle | None:
    """What was sampled, and for *trace_ids* where they were met; `None` without samples."""
    took_ns: Counter[tuple[Thread, str, str, tuple[Frame, ...]]] = Counter()
    traced_ns: dict[str, Counter[tuple[Frame, ...]]] = defaultdict(Counter)
    for sample in taken(history):
        thread = Thread(sample.thread, sample.way, on_loop=sample.way != EXECUTOR)
        took_ns[thread, sample.coroutine, sample.span, sample.stack] += sample.weight_ns
        if sample.trace_id in trace_ids:
            traced_ns[sample.trace_id][sample.stack] += sample.weight_ns
    if not took_ns:
        return None
    tree = _Tree(_territory(history))
    threads, coroutines, spans = _Numbers[Thread](), _Numbers[str](), _Numbers[str]()
    rows, left_out_ns = [], 0
    for (thread, coroutine, span, stack), spent_ns in took_ns.most_common():
        call = tree.call(stack)
        if call is None:
            left_out_ns += spent_ns
        else:
            where = threads.of(thread), coroutines.of(coroutine), spans.of(span)
            rows.append(Row(*where, call, _tenths(spent_ns)))
    traced = [
        Traced(trace_id, call, _tenths(spent_ns))
        for trace_id, stacks in traced_ns.items()
        for stack, spent_ns in stacks.most_common(TRACED)
        if (call := tree.call(stack))
    ]
    return Icicle(
        threads=tuple(threads),
        coroutines=tuple(coroutines),
        spans=tuple(spans),
        lines=tuple(tree.lines),
        callers=tuple(caller for caller, _ in tree.calls),
        called=tuple(line for _, line in tree.calls),
        rows=tuple(rows),
        traced=tuple(traced),
        left_out_ms=_tenths(left_out_ns),
    )


class _Numbers(dict[T, int]):
    """Things, each with the number it was given when it was first asked for; from 0."""

    def of(self, thing: T) -> int:
        return self.setdefault(thing, len(self))


class _Tree:
    """Calls by number, each known by who made it and the line it is in."""

    def __init__(self, territory: Territory) -> None:
        self._territory = territory
        self.calls = _Numbers[tuple[int, int]]()
        self.lines = _Numbers[Called]()

    def call(self, stack: tuple[Frame, ...]) -> int | None:
        """The number of the innermost call, from 1, or 0 without any; `None` when there is no more room."""
        if len(self.calls) + len(stack) > CALLS:
            return None
        call = 0
        for frame in stack:
            where = f"{self._territory.short(frame.file)}:{frame.line}"
            own = self._territory.is_application(frame)
            call = (
                self.calls.of((call, self.lines.of(Called(frame.function[:LETTERS], where[-LETTERS:], own))))
                + 1
            )
        return call


def _territory(history: History) -> Territory:
    """Whose code is whose in all processes together."""
    started = [loop.started for loop in history.loops]
    return Territory(
        tuple({prefix: None for loop in started for prefix in loop.application}),
        tuple({prefix: None for loop in started for prefix in loop.libraries}),
    )


def _tenths(time_ns: int) -> float:
    return round(time_ns / 1e6, 1)
