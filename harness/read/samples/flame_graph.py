"""The samples of a run added up: which calls made which, for how long, in which thread, span and coroutine.

Tasks are told apart by their coroutine: there are too many of them, and those of one coroutine do the same.
All is numbered, so that it stays small enough for a page.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from ...record.event import Frame
from ...stacks.ownership import CodeOwnership
from ..history import History
from ..spans.span import Waterfall
from .sample import SamplingWay, StackSample, stack_samples
from .trace_samples import TraceSamples, marked

T = TypeVar("T")

# Calls beyond these would be too thin to be seen; what they took is told. So is what rows beyond these took.
CALLS, ROWS = 2_000, 4_000
# Longer names are cut: they come from the target, and the page has a bound.
LETTERS = 80
# Of each trace, the calls that it was met in most.
TRACED = 5


class Called(NamedTuple):
    """A line that calls."""

    function: str
    where: str  # file and line below the application's folder, for people
    own: bool  # the program's own code


class SelfTime(NamedTuple):
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
class ThreadSamples:
    """Where samples came from."""

    name: str
    way: SamplingWay
    on_loop: bool


@dataclass(frozen=True, slots=True)
class FlameGraph:
    """The tree of calls, numbered from 1; *callers* has for each the one it was made by, 0 for none."""

    threads: tuple[ThreadSamples, ...]
    coroutines: tuple[str, ...]  # "" for a plain callback
    spans: tuple[str, ...]  # "" for none
    lines: tuple[Called, ...] = field(repr=False)
    callers: tuple[int, ...] = field(repr=False)
    called: tuple[int, ...] = field(repr=False)  # of each call: its line
    rows: tuple[SelfTime, ...] = field(repr=False)  # those with the most time first
    traced: tuple[Traced, ...] = field(repr=False)
    marked: TraceSamples = field(repr=False)  # the samples of the traces that the report shows
    left_out_ms: float  # in calls that found no place here


def flame_graph(history: History, traces: tuple[Waterfall, ...]) -> FlameGraph | None:
    """What was sampled, and where on *traces*; `None` without samples."""
    samples = stack_samples(history)
    took_ns: Counter[tuple[ThreadSamples, str, str, tuple[Frame, ...]]] = Counter()
    traced_ns: dict[str, Counter[tuple[Frame, ...]]] = defaultdict(Counter)
    shown = {trace.trace_id for trace in traces}
    for sample in samples:
        took_ns[thread_of(sample), sample.coroutine, sample.span, sample.stack] += sample.weight_ns
        if sample.trace_id in shown:
            traced_ns[sample.trace_id][sample.stack] += sample.weight_ns
    if not took_ns:
        return None
    tree = CallTree(CALLS)
    lines = _FrameLines(history.ownership())
    threads, coroutines, spans = Interned[ThreadSamples](), Interned[str](), Interned[str]()

    def call_of(stack: tuple[Frame, ...]) -> int | None:
        return tree.call(lines.of_stack(stack))

    # First, while there is room: a trace that is shown is looked at closely.
    traced = [
        Traced(trace_id, call, _tenths(spent_ns))
        for trace_id, stacks in traced_ns.items()
        for stack, spent_ns in stacks.most_common(TRACED)
        if (call := call_of(stack))
    ]
    rows: list[SelfTime] = []
    left_out_ns = 0
    for (thread, coroutine, span, stack), spent_ns in took_ns.most_common():
        call = call_of(stack) if len(rows) < ROWS else None
        if call is None:
            left_out_ns += spent_ns
        else:
            where = threads.of(thread), coroutines.of(coroutine[:LETTERS]), spans.of(span[:LETTERS])
            rows.append(SelfTime(*where, call, _tenths(spent_ns)))
    on_spans = marked(history, samples, traces, lambda sample: threads.of(thread_of(sample)), call_of)
    return FlameGraph(
        marked=on_spans,
        threads=tuple(threads),
        coroutines=tuple(coroutines),
        spans=tuple(spans),
        lines=tuple(tree.lines),
        callers=tuple(tree.callers),
        called=tuple(line for _, line in tree.calls),
        rows=tuple(rows),
        traced=tuple(traced),
        left_out_ms=_tenths(left_out_ns),
    )


def thread_of(sample: StackSample) -> ThreadSamples:
    """The thread that was looked at."""
    return ThreadSamples(sample.thread[:LETTERS], sample.way, on_loop=sample.way != SamplingWay.EXECUTOR)


class Interned(dict[T, int]):
    """Things, each with the number it was given when it was first asked for; from 0."""

    def of(self, thing: T) -> int:
        """The number of *thing*, which may be new."""
        return self.setdefault(thing, len(self))


class CallTree:
    """Calls by number, each known by who made it and the line it is in."""

    def __init__(self, room: int) -> None:
        self._room = room
        self.calls = Interned[tuple[int, int]]()
        self.lines = Interned[Called]()
        self.callers: list[int] = []  # of each call, as its key has it

    def call(self, stack: tuple[Called, ...]) -> int | None:
        """The number of the innermost call, from 1, or 0 without any; `None` when there is no more room."""
        if len(self.calls) + len(stack) > self._room:
            return self._known(stack)
        call = 0
        for line in stack:
            caller, call = call, self.calls.of((call, self.lines.of(line))) + 1
            if call > len(self.callers):
                self.callers.append(caller)
        return call

    def _known(self, stack: tuple[Called, ...]) -> int | None:
        call = 0
        for line in stack:
            number = self.calls.get((call, self.lines.get(line, -1)))
            if number is None:
                return None
            call = number + 1
        return call


class _FrameLines:
    """The lines of frames as people read them; each frame is looked into once."""

    def __init__(self, whose: CodeOwnership) -> None:
        self._whose = whose
        self._known: dict[Frame, Called] = {}

    def of_stack(self, stack: tuple[Frame, ...]) -> tuple[Called, ...]:
        return tuple(map(self._of, stack))

    def _of(self, frame: Frame) -> Called:
        if frame not in self._known:
            where = f"{self._whose.short(frame.file)}:{frame.line}"
            called = Called(frame.function[:LETTERS], where[-LETTERS:], self._whose.is_application(frame))
            self._known[frame] = called
        return self._known[frame]


def _tenths(time_ns: int) -> float:
    return round(time_ns / 1e6, 1)
