"""Where the time of spans went, and who made whom wait: what a report says of the log of steps."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from ...record.event import Frame, SpanEnded, StepLogUnavailable, StepsTaken
from ..blocks.block import Block
from ..history import History
from ..units import ms, seconds
from . import breakdown, critical_path
from .breakdown import LATE, Slice
from .segment import Part, Parts, Segment
from .step_log import NOBODY, StepLog, is_work, step_logs

# Of more spans than these an even choice is decomposed for the means: one takes some 30 µs.
SPANS = 20_000
# Who held the loop for less is not told from who did before or after.
LITTLE_NS = 100_000
# So many blocks of one turn, or of loops beside each other, may overlap.
BESIDE = 8
# Lines of the blame table, and the shortest wait that makes one.
BLAMED, LEAST_MS = 100, 0.1
WAITS = (Part.READY, Part.QUEUED, Part.TASK)
_NAMES = tuple(part.name for part in fields(Parts))


@dataclass(frozen=True, slots=True)
class WaitedOn:
    """Who made whom wait, and for how long together."""

    waiter: str  # a coroutine
    span: str  # in which it waited, "" for none
    what: Part  # "ready": for the loop · "queued": for a thread of an executor · "task": for another task
    holder: str  # the function that held the loop or the thread, or the coroutine that was waited for
    where: str  # its file and line, for people
    holder_span: str
    total_ms: float
    count: int
    max_ms: float


@dataclass(frozen=True, slots=True)
class WaitReport:
    """How much was decomposed, and the blame table."""

    share: float  # of the traces that were chosen
    spans: int
    steps: int  # of loops, whosesoever they were
    dropped: int
    unknown: tuple[
        str, ...
    ]  # loops that tell nothing of their steps: "uvloop.Loop: its steps are not Python's"
    roots: tuple[str, ...]  # names of decomposed spans that are no part of another one
    blame: tuple[WaitedOn, ...]  # the most time first


class SpanTimes:
    """The spans of a run as far as the steps of their tasks were logged."""

    def __init__(self, history: History, blocks: tuple[Block, ...]) -> None:
        self._history = history
        self._journeys = step_logs(history)
        self._namer = _Namer(history, blocks)
        self._runners = {
            span.span_id: (journey, runner, span)
            for journey in self._journeys.values()
            for runner, spans in journey.spans.items()
            for span in spans
            if runner
        }

    def means(self) -> dict[str, tuple[int, Parts]]:
        """By the name of a span: how many of them were decomposed, and their mean."""
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(_NAMES))
        counts: dict[str, int] = defaultdict(int)
        for journey, runner, span in self._chosen():
            counts[span.name] += 1
            for stretch in breakdown.of_span(journey, runner, span.start_ns, span.end_ns):
                sums[span.name][_NAMES.index(f"{stretch.what}_ms")] += stretch.length_ns
        return {name: (counts[name], Parts(*(ms(ns / counts[name]) for ns in sums[name]))) for name in counts}

    def parts(self, span_id: str) -> tuple[Segment, ...] | None:
        """The stretches of a span; `None` when they are not known."""
        if span_id not in self._runners:
            return None
        journey, runner, span = self._runners[span_id]
        found = breakdown.of_span(journey, runner, span.start_ns, span.end_ns)
        return self._segments(journey, found)

    def path(self, spans: Iterable[SpanEnded]) -> tuple[Segment, ...] | None:
        """The critical path through the first of *spans* whose path is known; `None` for none."""
        known = next((span for span in spans if span.span_id in self._runners), None)
        if known is None:
            return None
        journey, runner, span = self._runners[known.span_id]
        if is_work(runner):
            return self.parts(span.span_id)
        return self._segments(journey, critical_path.path(journey, runner, span.start_ns, span.end_ns))

    def waits(self) -> WaitReport | None:
        """What goes into the report besides; `None` when nobody had asked for it."""
        taken, unknown = self._history.of(StepsTaken), self._history.of(StepLogUnavailable)
        if not taken and not unknown:
            return None
        last = {event.pid: event for event in taken}.values()
        # A message's publisher is another process; its span may be in the record all the same.
        roots = (span.name for _, _, span in self._chosen() if span.parent_id not in self._runners)
        return WaitReport(
            share=max((event.share for event in last), default=0.0),
            spans=len(self._chosen()),
            steps=sum(event.taken for event in last),
            dropped=sum(event.dropped for event in last),
            unknown=tuple(dict.fromkeys(f"{event.kind}: {event.reason}" for event in unknown)),
            roots=tuple(dict.fromkeys(roots)),
            blame=self._blame(),
        )

    def _chosen(self) -> list[tuple[StepLog, int, SpanEnded]]:
        return list(self._runners.values())[:: 1 + len(self._runners) // SPANS]

    def _segments(self, journey: StepLog, stretches: Iterable[Slice]) -> tuple[Segment, ...]:
        return tuple(self._namer.segment(journey, stretch) for stretch in _joined(stretches))

    def _blame(self) -> tuple[WaitedOn, ...]:
        waits: dict[tuple[str, str, Part, str, str, str], list[float]] = defaultdict(list)
        for journey in self._journeys.values():
            for task, from_ns, to_ns in _lives(journey):
                for stretch in breakdown.of_span(journey, task, from_ns, to_ns):
                    if stretch.what not in WAITS or ms(stretch.length_ns) < LEAST_MS:
                        continue
                    segment = self._namer.segment(journey, _with_occupant(journey, stretch))
                    span = journey.span_at(task, stretch.from_ns)
                    waiter = journey.frame_of(task).function
                    named = span.name if span is not None else ""
                    row = (waiter, named, segment.what, segment.who, segment.where, segment.span)
                    waits[row].append(segment.took_ms)
        rows = [WaitedOn(*row, round(sum(each), 3), len(each), max(each)) for row, each in waits.items()]
        return tuple(sorted(rows, key=lambda row: -row.total_ms)[:BLAMED])


class _Namer:
    """Puts a stretch into words: a block knows the line that held the loop, a step only its coroutine."""

    def __init__(self, history: History, blocks: tuple[Block, ...]) -> None:
        self._history = history
        self._blocks = sorted(blocks, key=_at_s)
        self._ownership = history.ownership()

    def segment(self, journey: StepLog, stretch: Slice) -> Segment:
        who, where = stretch.who.function, self._where(stretch.who)
        if stretch.what in (Part.RUN, Part.READY) and (block := self._block(journey, stretch)) is not None:
            who, where = self._culprit(block) if stretch.who is LATE else (block.function, block.where)
        span = journey.span_at(stretch.task, stretch.from_ns) if stretch.task else None
        cpu = journey.cpu.get(stretch.step) if stretch.what == Part.RUN else None
        return Segment(
            at_s=seconds(self._history.since_start_ns(stretch.from_ns)),
            took_ms=ms(stretch.length_ns),
            what=stretch.what,
            who=who,
            where=where,
            span=span.name if span is not None else "",
            cpu_ms=ms(min(cpu[0], stretch.length_ns)) if cpu is not None else None,
            at_most=stretch.at_most,
        )

    def _where(self, frame: Frame) -> str:
        return f"{self._ownership.short(frame.file)}:{frame.line}" if frame.file else ""

    def _culprit(self, block: Block) -> tuple[str, str]:
        """Who kept a loop from running at all."""
        for culprit in block.culprits:
            if culprit.stack:
                return f"{culprit.thread}: {culprit.stack[-1].function}", self._where(culprit.stack[-1])
        return LATE.function, ""

    def _block(self, journey: StepLog, stretch: Slice) -> Block | None:
        """The block that was for the most part the step which ran; or the stretch, when none did."""
        step = journey.by_number.get(stretch.step)
        from_ns, to_ns = (step.began_ns, step.ended_ns) if step is not None else stretch[:2]
        from_s = seconds(self._history.since_start_ns(from_ns))
        to_s = seconds(self._history.since_start_ns(to_ns))
        index = bisect_right(self._blocks, to_s, key=_at_s)
        for block in self._blocks[max(0, index - BESIDE) : index]:
            overlap_s = min(to_s, block.at_s + block.held_ms / 1e3) - max(from_s, block.at_s)
            is_of_loop = block.cause in ("gil", "descheduled")
            least_s = (to_s - from_s if step is None else block.held_ms / 1e3) / 2
            if overlap_s > least_s and is_of_loop == (stretch.who is LATE):
                return block
        return None


def _at_s(block: Block) -> float:
    return block.at_s


def _joined(stretches: Iterable[Slice]) -> Iterator[Slice]:
    """Neighbours that are of the same kind as one: for the same reason, or each for so little that it is one.

    A timer, and the task that sleeps, are two callbacks of the loop; nobody wants to read of both.
    """
    joined: list[Slice] = []
    for stretch in stretches:
        last = joined[-1] if joined else None
        if last is not None and last.what == stretch.what:
            is_same = (last.who, last.task) == (stretch.who, stretch.task)
            is_little = stretch.what == Part.READY and min(last.length_ns, stretch.length_ns) < LITTLE_NS
            if is_same or is_little:
                named = last if is_same or last.length_ns >= stretch.length_ns else stretch
                joined[-1] = named._replace(from_ns=last.from_ns, to_ns=stretch.to_ns)
                continue
        joined.append(stretch)
    yield from joined


def _lives(journey: StepLog) -> Iterator[tuple[int, int, int]]:
    """Each task of a trace, with the times in which it belonged to one."""
    for task, steps in journey.of_task.items():
        if own := sorted((span.start_ns, span.end_ns) for span in journey.spans.get(task, ())):
            from_ns, to_ns = own[0]
            for start_ns, end_ns in own[1:]:
                if start_ns > to_ns:
                    yield task, from_ns, to_ns
                    from_ns = start_ns
                to_ns = max(to_ns, end_ns)
            yield task, from_ns, to_ns
        elif journey.span_at(task, steps[0].began_ns) is not None:
            yield task, steps[0].ready_ns or steps[0].began_ns, steps[-1].ended_ns


def _with_occupant(journey: StepLog, stretch: Slice) -> Slice:
    """In the stead of what was in a queue: whatever had the thread until that began."""
    if stretch.what != Part.QUEUED:
        return stretch
    # One thread's end, and the next one's beginning on it, are told by two clocks' readings.
    before = journey.occupant(stretch.from_ns, stretch.to_ns + LITTLE_NS)
    return stretch._replace(who=journey.places.get(before.place, NOBODY)) if before is not None else stretch
