"""What spans spent their time on, and what made their tasks wait, from the step log."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from operator import attrgetter

from ...record.event import Frame, SpanEnded, StepLogUnavailable, StepsTaken
from ..blocks.block import Block
from ..history import History
from ..units import ms, seconds
from . import breakdown, critical_path
from .breakdown import LATE, Slice
from .segment import Part, Parts, Segment
from .step_log import NO_FRAME, StepLog, is_work, step_logs

# Of more spans, only an evenly spaced selection is decomposed for the means, since each takes some 30 µs.
SPANS = 20_000
# Shorter waits for the loop are merged with their neighbours.
LITTLE_NS = 100_000
# Maximum number of overlapping blocks, of one turn or of several loops.
BESIDE = 8
# Rows of the blame table, and the shortest wait that counts.
BLAMED, LEAST_MS = 100, 0.1
WAITS = (Part.READY, Part.QUEUED, Part.TASK)
_at_s = attrgetter("at_s")
_NAMES = tuple(part.name for part in fields(Parts))


@dataclass(frozen=True, slots=True)
class WaitedOn:
    """What made a coroutine wait, and for how long in total."""

    waiter: str  # a coroutine
    span: str  # the one in which it waited, "" for none
    what: Part  # "ready": for the loop · "queued": for a thread of an executor · "task": for another task
    holder: str  # the function that held the loop or the thread, or the coroutine waited for
    where: str  # its file and line, shortened
    holder_span: str
    total_ms: float
    count: int
    max_ms: float


@dataclass(frozen=True, slots=True)
class WaitReport:
    """How much was decomposed, and the blame table."""

    share: float  # of the traces that were chosen
    spans: int
    steps: int  # of all tasks and callbacks of the loops
    dropped: int
    unknown: tuple[str, ...]  # loops without a step log, with the reason: "uvloop.Loop: its steps are ..."
    roots: tuple[str, ...]  # names of decomposed spans that are not part of another one
    blame: tuple[WaitedOn, ...]  # most time first


class SpanTimes:
    """The spans of a run for which the steps of their tasks were logged."""

    def __init__(self, history: History, blocks: tuple[Block, ...]) -> None:
        self._history = history
        self._logs = step_logs(history)
        self._namer = _Namer(history, blocks)
        self._runners = {
            span.span_id: (log, runner, span)
            for log in self._logs.values()
            for runner, spans in log.spans.items()
            for span in spans
            if runner
        }

    def means(self) -> dict[str, tuple[int, Parts]]:
        """By the name of a span: how many were decomposed, and their means."""
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(_NAMES))
        counts: dict[str, int] = defaultdict(int)
        for log, runner, span in self._chosen():
            counts[span.name] += 1
            for piece in breakdown.of_span(log, runner, span.start_ns, span.end_ns):
                sums[span.name][_NAMES.index(f"{piece.what}_ms")] += piece.length_ns
        return {name: (counts[name], Parts(*(ms(ns / counts[name]) for ns in sums[name]))) for name in counts}

    def parts(self, span_id: str) -> tuple[Segment, ...] | None:
        """The segments of a span; `None` if they are not known."""
        if span_id not in self._runners:
            return None
        log, runner, span = self._runners[span_id]
        return self._segments(log, breakdown.of_span(log, runner, span.start_ns, span.end_ns))

    def path(self, spans: Iterable[SpanEnded]) -> tuple[Segment, ...] | None:
        """The critical path of the first of *spans* that has one; `None` for none."""
        known = next((span for span in spans if span.span_id in self._runners), None)
        if known is None:
            return None
        log, runner, span = self._runners[known.span_id]
        if is_work(runner):
            return self.parts(span.span_id)
        return self._segments(log, critical_path.path(log, runner, span.start_ns, span.end_ns))

    def waits(self) -> WaitReport | None:
        """The report on waits, without the spans; `None` without `--waits`."""
        taken, unknown = self._history.of(StepsTaken), self._history.of(StepLogUnavailable)
        if not taken and not unknown:
            return None
        last = {event.pid: event for event in taken}.values()
        # The publisher of a message is another process, but its span may be in the record.
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

    def _segments(self, log: StepLog, slices: Iterable[Slice]) -> tuple[Segment, ...]:
        return tuple(self._namer.segment(log, piece) for piece in _joined(slices))

    def _blame(self) -> tuple[WaitedOn, ...]:
        waits: dict[tuple[str, str, Part, str, str, str], list[float]] = defaultdict(list)
        for log in self._logs.values():
            for task, from_ns, to_ns in _lives(log):
                for piece in breakdown.of_span(log, task, from_ns, to_ns):
                    if piece.what not in WAITS or ms(piece.length_ns) < LEAST_MS:
                        continue
                    segment = self._namer.segment(log, _with_occupant(log, piece))
                    span = log.span_at(task, piece.from_ns)
                    waiter = log.frame_of(task).function
                    named = span.name if span is not None else ""
                    row = (waiter, named, piece.what, segment.who, segment.where, segment.span)
                    waits[row].append(segment.took_ms)
        rows = [WaitedOn(*row, round(sum(each), 3), len(each), max(each)) for row, each in waits.items()]
        return tuple(sorted(rows, key=lambda row: -row.total_ms)[:BLAMED])


class _Namer:
    """Names what a slice was spent on: by the line of a block where there is one, else by coroutine."""

    def __init__(self, history: History, blocks: tuple[Block, ...]) -> None:
        self._history = history
        self._blocks = sorted(blocks, key=_at_s)
        self._ownership = history.ownership()

    def segment(self, log: StepLog, piece: Slice) -> Segment:
        who, where = piece.who.function, self._where(piece.who)
        if piece.what in (Part.RUN, Part.READY) and (block := self._block(log, piece)) is not None:
            who, where = self._culprit(block) if piece.who is LATE else (block.function, block.where)
        span = log.span_at(piece.task, piece.from_ns) if piece.task else None
        cpu = log.cpu.get(piece.step) if piece.what == Part.RUN else None
        return Segment(
            at_s=seconds(self._history.since_start_ns(piece.from_ns)),
            took_ms=ms(piece.length_ns),
            what=piece.what,
            who=who,
            where=where,
            span=span.name if span is not None else "",
            cpu_ms=ms(min(cpu[0], piece.length_ns)) if cpu is not None else None,
            at_most=piece.at_most,
        )

    def _where(self, frame: Frame) -> str:
        return f"{self._ownership.short(frame.file)}:{frame.line}" if frame.file else ""

    def _culprit(self, block: Block) -> tuple[str, str]:
        for culprit in block.culprits:
            if culprit.stack:
                return f"{culprit.thread}: {culprit.stack[-1].function}", self._where(culprit.stack[-1])
        return LATE.function, ""

    def _block(self, log: StepLog, piece: Slice) -> Block | None:
        """The block that lies for the most part in the slice's step, or in the slice if no step ran."""
        step = log.by_number.get(piece.step)
        from_ns, to_ns = (step.began_ns, step.ended_ns) if step is not None else piece[:2]
        from_s = seconds(self._history.since_start_ns(from_ns))
        to_s = seconds(self._history.since_start_ns(to_ns))
        index = bisect_right(self._blocks, to_s, key=_at_s)
        for block in self._blocks[max(0, index - BESIDE) : index]:
            overlap_s = min(to_s, block.at_s + block.held_ms / 1e3) - max(from_s, block.at_s)
            is_of_loop = block.cause in ("gil", "descheduled", "unknown")
            least_s = (to_s - from_s if step is None else block.held_ms / 1e3) / 2
            if overlap_s > least_s and is_of_loop == (piece.who is LATE):
                return block
        return None


def _joined(slices: Iterable[Slice]) -> Iterator[Slice]:
    """The slices with neighbours of the same kind merged, if they have the same holder or one is short.

    For example, a timer and the task it wakes are two callbacks of the loop, but one wait for the reader.
    """
    joined: list[Slice] = []
    for piece in slices:
        last = joined[-1] if joined else None
        if last is not None and last.what == piece.what:
            is_same = (last.who, last.task) == (piece.who, piece.task)
            is_little = piece.what == Part.READY and min(last.length_ns, piece.length_ns) < LITTLE_NS
            if is_same or is_little:
                named = last if is_same or last.length_ns >= piece.length_ns else piece
                joined[-1] = named._replace(from_ns=last.from_ns, to_ns=piece.to_ns)
                continue
        joined.append(piece)
    yield from joined


def _lives(log: StepLog) -> Iterator[tuple[int, int, int]]:
    """The tasks of traces, with the times in which they belonged to one."""
    for task, steps in log.of_task.items():
        if own := sorted((span.start_ns, span.end_ns) for span in log.spans.get(task, ())):
            from_ns, to_ns = own[0]
            for start_ns, end_ns in own[1:]:
                if start_ns > to_ns:
                    yield task, from_ns, to_ns
                    from_ns = start_ns
                to_ns = max(to_ns, end_ns)
            yield task, from_ns, to_ns
        elif log.span_at(task, steps[0].began_ns) is not None:
            yield task, steps[0].ready_ns or steps[0].began_ns, steps[-1].ended_ns


def _with_occupant(log: StepLog, piece: Slice) -> Slice:
    """The slice; if it was spent in a queue, with the work that occupied the thread before."""
    if piece.what != Part.QUEUED:
        return piece
    # The end of one work and the start of the next on its thread are two readings of the clock.
    before = log.occupant(piece.from_ns, piece.to_ns + LITTLE_NS)
    return piece._replace(who=log.places.get(before.place, NO_FRAME)) if before is not None else piece
