"""The run on a timeline, for ui.perfetto.dev: tasks and threads as tracks, with flows between them.

The format is Chrome's JSON, which other viewers also read. The slices of a track must be nested, because
viewers silently drop those that overlap: a slice that does not fit goes to another track of the same name.
Arrows lead from a span to its child on another track, and from a block to the spans it delayed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from ...record.event import FaultInjected, FaultUndone, LoopSampled, LoopStarted, SpanEnded, WriterOpened
from ..blocks import detect as blocks_rule
from ..blocks.block import Block
from ..formats import RecordFormat
from ..history import History

# Tracks in the order they are shown.
LOOPS, TASKS, THREADS, FAULTS = range(4)


@dataclass(slots=True)
class _Slice:
    name: str
    category: str
    start_ns: int
    end_ns: int
    arguments: dict[str, object]
    track: int = 0


# By process, kind and name of their track; a name may become several tracks.
_Tracks = defaultdict[tuple[int, int, str], list[_Slice]]


def render(history: History) -> str:
    """The trace as JSON, times in microseconds since the start of the run."""
    tracks: _Tracks = defaultdict(list)
    arrows: list[tuple[_Slice, _Slice]] = []
    spans = _add_spans(history, tracks, arrows)
    _add_blocks(history, tracks, arrows, spans)
    for fault, start_ns, end_ns in _faults(history):
        of_fault = _Slice(f"{fault.kind} {fault.id}", "fault", start_ns, end_ns, {"detail": fault.detail})
        tracks[0, FAULTS, "faults"].append(of_fault)
    events = [*_names(history), *_placed(history, tracks), *_busy(history)]
    pids = {id(item): key[0] for key, items in tracks.items() for item in items}
    for number, (source, target) in enumerate(arrows, 1):
        events += _arrow(history, number, (source, pids[id(source)]), (target, pids[id(target)]))
    return json.dumps({"displayTimeUnit": "ms", "traceEvents": events}) + "\n"


def _add_spans(
    history: History, tracks: _Tracks, arrows: list[tuple[_Slice, _Slice]]
) -> dict[str, list[_Slice]]:
    """Add the spans; returns their slices by trace."""
    slices: dict[str, tuple[SpanEnded, _Slice, str]] = {}
    by_trace: dict[str, list[_Slice]] = defaultdict(list)
    for span in history.of(SpanEnded):
        ids = {"trace_id": span.trace_id, "span_id": span.span_id, "status": span.status}
        item = _Slice(span.name, span.kind, span.start_ns, span.end_ns, {**ids, **span.attributes})
        name = span.task or span.thread
        tracks[span.pid, TASKS if span.task else THREADS, name].append(item)
        slices[span.span_id] = span, item, f"{span.pid} {name}"
        by_trace[span.trace_id].append(item)
    for span, item, place in slices.values():
        parent = slices.get(span.parent_id)
        if parent is not None and parent[2] != place:
            arrows.append((parent[1], item))
    return by_trace


def _add_blocks(
    history: History, tracks: _Tracks, arrows: list[tuple[_Slice, _Slice]], spans: dict[str, list[_Slice]]
) -> None:
    for block in blocks_rule.blocks(history):
        start_ns = history.run.started_ns + round(block.at_s * 1e9)
        held_ns = round(block.held_ms * 1e6)
        item = _Slice(block.function, "block", start_ns, start_ns + held_ns, _of_block(block))
        tracks[block.pid, LOOPS, f"loop {block.loop}: blocks"].append(item)
        for victim in block.victims:
            late = [s for s in spans.get(victim.trace_id, ()) if s.start_ns < item.end_ns <= s.end_ns]
            arrows += [(item, span) for span in late[:1]]


def _of_block(block: Block) -> dict[str, object]:
    stack = [f"{frame.function} ({frame.file}:{frame.line})" for frame in block.stack]
    return {
        "where": block.where,
        "cause": block.cause,
        "task": block.task,
        "span": block.span,
        "trace_id": block.trace_id,
        "victims": block.victims_total,
        "stack": stack,
    }


def _faults(history: History) -> Iterator[tuple[FaultInjected, int, int]]:
    undone = {event.id: event.at_ns for event in history.of(FaultUndone)}
    for fault in history.of(FaultInjected):
        yield fault, fault.at_ns, undone.get(fault.id, history.ended_ns)


# --- Chrome's events ----------------------------------------------------------------------------------


def _names(history: History) -> Iterator[dict[str, object]]:
    yield _metadata("process_name", 0, 0, name="the run")
    for opened in history.of(WriterOpened):
        yield _metadata("process_name", opened.pid, 0, name=f"{opened.role} {' '.join(opened.command)}"[:200])


def _metadata(what: str, pid: int, tid: int, **arguments: object) -> dict[str, object]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": arguments}


def _placed(history: History, tracks: _Tracks) -> Iterator[dict[str, object]]:
    """Every slice, on a track where it nests with the others, and the names of the tracks."""
    number = 0
    for (pid, kind, name), slices in sorted(tracks.items(), key=lambda item: item[0]):
        open_ends: list[list[int]] = []  # of each track of this name: the ends of its open slices
        first = number + 1
        for item in sorted(slices, key=lambda item: (item.start_ns, -item.end_ns)):
            lane = _lane(open_ends, item)
            item.track = first + lane
            yield {
                "ph": "X",
                "name": item.name,
                "cat": item.category,
                "pid": pid,
                "tid": item.track,
                "ts": _us(history, item.start_ns),
                "dur": (item.end_ns - item.start_ns) / 1000,
                "args": item.arguments,
            }
        number += len(open_ends)
        for lane in range(len(open_ends)):
            title = name if lane == 0 else f"{name} ({lane + 1})"
            yield _metadata("thread_name", pid, first + lane, name=title)
            yield _metadata(
                "thread_sort_index", pid, first + lane, sort_index=kind * 1_000_000 + first + lane
            )


def _lane(open_ends: list[list[int]], item: _Slice) -> int:
    for lane, ends in enumerate(open_ends):
        while ends and ends[-1] <= item.start_ns:
            ends.pop()
        if not ends or item.end_ns <= ends[-1]:
            ends.append(item.end_ns)
            return lane
    open_ends.append([item.end_ns])
    return len(open_ends) - 1


def _busy(history: History) -> Iterator[dict[str, object]]:
    before: dict[tuple[int, int], LoopSampled] = {}
    names = {(event.pid, event.loop): event for event in history.of(LoopStarted)}
    for reading in history.of(LoopSampled):
        key = reading.pid, reading.loop
        last = before.get(key)
        if last is not None and reading.at_ns > last.at_ns and key in names:
            busy = (reading.busy_ns - last.busy_ns) / (reading.at_ns - last.at_ns)
            yield {
                "ph": "C",
                "name": f"loop {reading.loop}: busy %",
                "pid": reading.pid,
                "ts": _us(history, last.at_ns),
                "args": {"busy": round(min(1.0, max(0.0, busy)) * 100, 1)},
            }
        before[key] = reading


def _arrow(
    history: History, number: int, source: tuple[_Slice, int], target: tuple[_Slice, int]
) -> list[dict[str, object]]:
    """Both ends, each inside its slice: a viewer drops an arrow with one end only."""
    (begin, begin_pid), (end, end_pid) = source, target
    at_ns = min(max(begin.start_ns, end.start_ns), begin.end_ns)
    lands_ns = max(at_ns, end.start_ns)
    common = {"name": "to", "cat": "flow", "id": number}
    return [
        {**common, "ph": "s", "pid": begin_pid, "tid": begin.track, "ts": _us(history, at_ns)},
        {**common, "ph": "f", "bp": "e", "pid": end_pid, "tid": end.track, "ts": _us(history, lands_ns)},
    ]


def _us(history: History, at_ns: int) -> float:
    return history.since_start_ns(at_ns) / 1000


FORMAT = RecordFormat("perfetto", extension="perfetto.json", render=render)
