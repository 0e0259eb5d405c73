"""The target's spans: their number and duration by name, and the traces that the report shows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields, replace

from ...record.event import ProbeClosed, SpanEnded
from ..blocks.block import Block
from ..history import History
from ..percentile import percentiles
from ..units import ms, seconds
from .gap import TraceGaps
from .segment import Parts, Segment
from .wait_report import SpanTimes

TRACES = 6
# Maximum number of spans shown of a trace, the first ones; the others are counted.
TRACE_SPANS = 40


@dataclass(frozen=True, slots=True)
class SpanName:
    """All spans of one name. The parts of their time are means over those decomposed; null if none was."""

    name: str
    count: int
    p50_ms: float
    p99_ms: float
    run_ms: float | None = None
    ready_ms: float | None = None
    wait_ms: float | None = None  # for anything but the loop: the sum of the following
    io_ms: float | None = None
    timer_ms: float | None = None
    queued_ms: float | None = None  # in an executor's queue ...
    executor_ms: float | None = None  # ... and while a thread worked for it
    task_ms: float | None = None  # for another task
    decomposed: int = 0  # how many of the count

    @property
    def all_decomposed(self) -> bool:
        """Whether the means are of every span of the name."""
        return self.decomposed == self.count


@dataclass(frozen=True, slots=True)
class SpanFigures:
    """What was recorded; *orphans* are spans whose parent is not in the record.

    All null if no process of the target was known to make spans; *dropped* also if none ended cleanly.
    """

    recorded: int | None
    dropped: int | None
    orphans: int | None
    by_name: tuple[SpanName, ...]  # most time first


@dataclass(frozen=True, slots=True)
class TraceSpan:
    """One bar of a waterfall."""

    name: str
    kind: str
    depth: int
    at_s: float
    took_ms: float
    status: str
    thread: str
    span_id: str = ""
    parts: tuple[Segment, ...] | None = None  # null if they are not known


@dataclass(frozen=True, slots=True)
class Waterfall:
    """One trace, from the start of its first span to the end of its last one."""

    trace_id: str
    at_s: float
    took_ms: float
    spans: tuple[TraceSpan, ...]
    spans_total: int
    blocked: bool  # one of its spans held the loop or waited for it, or it lay in a queue meanwhile
    path: tuple[Segment, ...] | None = None  # the critical path to the end of the first span that has one


def spans(history: History, decomposed: SpanTimes) -> SpanFigures:
    """The figures of all spans."""
    means = decomposed.means()
    recorded = history.of(SpanEnded)
    ids = {span.span_id for span in recorded}
    took_ns: dict[str, list[int]] = defaultdict(list)
    for span in recorded:
        took_ns[span.name].append(span.end_ns - span.start_ns)
    names = []
    for name, values in sorted(took_ns.items(), key=lambda item: (-sum(item[1]), item[0])):
        p50, p99 = percentiles(values, (0.5, 0.99))
        took = SpanName(name, len(values), ms(p50 or 0), ms(p99 or 0))
        names.append(_with_parts(took, *means[name]) if name in means else took)
    closed = history.of(ProbeClosed)
    if not recorded and not any(event.spans_followed for event in closed):
        return SpanFigures(None, None, None, ())
    return SpanFigures(
        recorded=len(recorded),
        dropped=sum(event.spans_dropped for event in closed) if closed and not history.cut_off else None,
        orphans=sum(bool(span.parent_id) and span.parent_id not in ids for span in recorded),
        by_name=tuple(names),
    )


def _with_parts(took: SpanName, decomposed: int, mean: Parts) -> SpanName:
    parts = {part.name: getattr(mean, part.name) for part in fields(mean)}
    return replace(took, decomposed=decomposed, wait_ms=round(mean.wait_ms, 3), **parts)


def traces(history: History, blocks: tuple[Block, ...], decomposed: SpanTimes) -> tuple[Waterfall, ...]:
    """The slowest traces; half of the list is reserved for those that held a loop or waited for it.

    The slowest of those that held a loop comes first, because its waterfall shows the block itself.
    """
    by_id: dict[str, list[SpanEnded]] = defaultdict(list)
    for span in history.of(SpanEnded):
        by_id[span.trace_id].append(span)
    gaps = TraceGaps(history, blocks)
    held = {block.trace_id for block in blocks} - {""}
    marked = held | {victim.trace_id for block in blocks for victim in block.victims} - {""}
    marked |= {trace_id for trace_id in by_id if trace_id not in marked and gaps.hurt(by_id[trace_id])}
    slowest = sorted(by_id, key=lambda trace_id: -_took_ns(by_id[trace_id]))
    chosen = [trace_id for trace_id in slowest if trace_id in held][:1]
    for kept, room in ((marked, TRACES // 2), (by_id, TRACES)):
        others = [trace_id for trace_id in slowest if trace_id in kept and trace_id not in chosen]
        chosen += others[: room - len(chosen)]
    return tuple(
        _trace(history, by_id[trace_id], decomposed, gaps, blocked=trace_id in marked) for trace_id in chosen
    )


def _trace(
    history: History, members: list[SpanEnded], decomposed: SpanTimes, gaps: TraceGaps, *, blocked: bool
) -> Waterfall:
    parents = {span.span_id: span.parent_id for span in members}
    shown = sorted(members, key=lambda span: (span.start_ns, -span.end_ns))[:TRACE_SPANS]
    path = decomposed.path(shown)
    return Waterfall(
        trace_id=members[0].trace_id,
        at_s=seconds(history.since_start_ns(min(span.start_ns for span in members))),
        took_ms=ms(_took_ns(members)),
        spans=tuple(
            TraceSpan(
                name=span.name,
                kind=span.kind,
                depth=_depth(span.span_id, parents),
                at_s=seconds(history.since_start_ns(span.start_ns)),
                took_ms=ms(span.end_ns - span.start_ns),
                status=span.status,
                thread=span.thread,
                span_id=span.span_id,
                parts=decomposed.parts(span.span_id),
            )
            for span in shown
        ),
        spans_total=len(members),
        blocked=blocked,
        path=(*gaps.before(members, path), *path) if path is not None else None,
    )


def _depth(span_id: str, parents: dict[str, str]) -> int:
    above: set[str] = set()
    # Ids come from the target, so parents may form a cycle.
    while (span_id := parents.get(span_id, "")) in parents and span_id not in above:
        above.add(span_id)
    return len(above)


def with_paths(history: History, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The blocks with the names of their enclosing spans that have ended."""
    ended = {span.span_id: span for span in history.of(SpanEnded)} if blocks else {}
    return tuple(replace(block, span_path=_path(block, ended)) for block in blocks)


def _path(block: Block, ended: dict[str, SpanEnded]) -> tuple[str, ...]:
    path = [block.span] if block.span else []
    passed, above = {""}, block.span_id
    # Ids come from the target, so parents may form a cycle.
    while (span := ended.get(above)) is not None and span.parent_id not in passed:
        passed.add(above)
        above = span.parent_id
        path += [ended[above].name] if above in ended else []
    return tuple(reversed(path))


def _took_ns(members: list[SpanEnded]) -> int:
    return max(span.end_ns for span in members) - min(span.start_ns for span in members)
