"""The samples of a run added up to a call tree, by thread, span and coroutine.

Tasks are grouped by coroutine, because there are many and those of one coroutine do the same. All references
are indices, so that the result is small enough for a page.
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

# Bounds: further calls would be too thin to see. The time left out is reported.
CALLS, ROWS = 2_000, 4_000
# Maximum length of a name: names come from the target, and the page has a bound.
LETTERS = 80
# Calls listed per trace: those with the most time.
TRACED = 5


class Called(NamedTuple):
    """A line of code in the tree."""

    function: str
    where: str  # file relative to the application's folder, and line
    own: bool  # the program's own code


class SelfTime(NamedTuple):
    """The time spent in one call by itself; all but the last are indices into the lists."""

    thread: int
    coroutine: int
    span: int
    call: int  # 0 for none: the loop itself
    took_ms: float


class Traced(NamedTuple):
    """A call in which a trace was sampled."""

    trace_id: str
    call: int
    took_ms: float


@dataclass(frozen=True, slots=True)
class ThreadSamples:
    """The thread that was sampled, and how."""

    name: str
    way: SamplingWay
    on_loop: bool


@dataclass(frozen=True, slots=True)
class FlameGraph:
    """The call tree. Calls are numbered from 1; *callers* has the caller of each, 0 for none."""

    threads: tuple[ThreadSamples, ...]
    coroutines: tuple[str, ...]  # "" for a plain callback
    spans: tuple[str, ...]  # "" for none
    lines: tuple[Called, ...] = field(repr=False)
    callers: tuple[int, ...] = field(repr=False)
    called: tuple[int, ...] = field(repr=False)  # the line of each call
    rows: tuple[SelfTime, ...] = field(repr=False)  # most time first
    traced: tuple[Traced, ...] = field(repr=False)
    marked: TraceSamples = field(repr=False)  # the samples of the traces that the report shows
    left_out_ms: float  # in calls beyond the bounds

    @property
    def only_late(self) -> bool:
        """Whether late turns alone were sampled, without `--sample`."""
        return any(thread.way == SamplingWay.LATE for thread in self.threads)


def flame_graph(history: History, traces: tuple[Waterfall, ...]) -> FlameGraph | None:
    """The samples of a run, and those on *traces*; `None` without samples."""
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

    # First, while there is room: shown traces need their calls.
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
    """The thread of a sample."""
    return ThreadSamples(sample.thread[:LETTERS], sample.way, on_loop=sample.way != SamplingWay.EXECUTOR)


class Interned(dict[T, int]):
    """Values with their index, in order of first use, from 0."""

    def of(self, thing: T) -> int:
        """The index of *thing*, which may be new."""
        return self.setdefault(thing, len(self))


class CallTree:
    """A call tree: numbered calls, each identified by its caller and its line."""

    def __init__(self, room: int) -> None:
        self._room = room
        self.calls = Interned[tuple[int, int]]()
        self.lines = Interned[Called]()
        self.callers: list[int] = []  # of each call

    def call(self, stack: tuple[Called, ...]) -> int | None:
        """The number of the innermost call, from 1; 0 for an empty stack, `None` if there is no room."""
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
    """The displayed lines of frames, cached."""

    def __init__(self, ownership: CodeOwnership) -> None:
        self._ownership = ownership
        self._known: dict[Frame, Called] = {}

    def of_stack(self, stack: tuple[Frame, ...]) -> tuple[Called, ...]:
        return tuple(map(self._of, stack))

    def _of(self, frame: Frame) -> Called:
        if frame not in self._known:
            where = f"{self._ownership.short(frame.file)}:{frame.line}"
            called = Called(frame.function[:LETTERS], where[-LETTERS:], self._ownership.is_application(frame))
            self._known[frame] = called
        return self._known[frame]


def _tenths(time_ns: int) -> float:
    return round(time_ns / 1e6, 1)
