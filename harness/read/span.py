"""The target's spans: how many, how long by name, and the traces worth looking at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from ..record.event import ProbeClosed, SpanEnded
from .history import History
from .percentile import percentiles
from .unit import ms, seconds

TRACES = 6
# A trace with more spans than this is shown by its first ones; the rest is counted.
TRACE_SPANS = 40


@dataclass(frozen=True, slots=True)
class SpanName:
    """All spans of one name. Where their time went is not known yet: null."""

    name: str
    count: int
    p50_ms: float
    p99_ms: float
    run_ms: float | None = None
    ready_ms: float | None = None
    wait_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Spans:
    """What was recorded; *orphans* name a parent that is not in the record."""

    recorded: int
    dropped: int
    orphans: int
    by_name: tuple[SpanName, ...]  # those with the most time first


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


@dataclass(frozen=True, slots=True)
class Trace:
    """One trace, from its first span's start to its last one's end."""

    trace_id: str
    at_s: float
    took_ms: float
    spans: tuple[TraceSpan, ...]
    spans_total: int
    blocked: bool  # one of its spans held the loop, or waited for it


def spans(history: History) -> Spans:
    """The figures of all spans."""
    recorded = history.of(SpanEnded)
    ids = {span.span_id for span in recorded}
    took_ns: dict[str, list[int]] = defaultdict(list)
    for span in recorded:
        took_ns[span.name].append(span.end_ns - span.start_ns)
    names = []
    for name, values in sorted(took_ns.items(), key=lambda item: (-sum(item[1]), item[0])):
        p50, p99 = percentiles(values, (0.5, 0.99))
        names.append(SpanName(name, len(values), ms(p50 or 0), ms(p99 or 0)))
    return Spans(
        recorded=len(recorded),
        dropped=sum(event.spans_dropped for event in history.of(ProbeClosed)),
        orphans=sum(bool(span.parent_id) and span.parent_id not in ids for span in recorded),
        by_name=tuple(names),
    )


def traces(history: History, hurt: Collection[str]) -> tuple[Trace, ...]:
    """The slowest traces, one half of the places kept for those that a block *hurt* (by trace id)."""
    by_id: dict[str, list[SpanEnded]] = defaultdict(list)
    for span in history.of(SpanEnded):
        by_id[span.trace_id].append(span)
    slowest = sorted(by_id, key=lambda trace_id: -_took_ns(by_id[trace_id]))
    marked = frozenset(hurt)
    chosen = [trace_id for trace_id in slowest if trace_id in marked][: TRACES // 2]
    chosen += [trace_id for trace_id in slowest if trace_id not in chosen][: TRACES - len(chosen)]
    return tuple(_trace(history, by_id[trace_id], blocked=trace_id in marked) for trace_id in chosen)


def _trace(history: History, members: list[SpanEnded], *, blocked: bool) -> Trace:
    parents = {span.span_id: span.parent_id for span in members}
    shown = sorted(members, key=lambda span: (span.start_ns, -span.end_ns))[:TRACE_SPANS]
    return Trace(
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
            )
            for span in shown
        ),
        spans_total=len(members),
        blocked=blocked,
    )


def _depth(span_id: str, parents: dict[str, str]) -> int:
    above: set[str] = set()
    # Ids come from the target: a ring of parents must end here as well.
    while (span_id := parents.get(span_id, "")) in parents and span_id not in above:
        above.add(span_id)
    return len(above)


def _took_ns(members: list[SpanEnded]) -> int:
    return max(span.end_ns for span in members) - min(span.start_ns for span in members)
