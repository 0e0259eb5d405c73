"""`trace`: one trace: its spans, the tasks that work on it now, and the blocks that hit it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from asyncio import Task
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...probe.hooks.state.task_state import TaskRef
from ...probe.tasks import identity
from ...record.clock import monotonic_ns
from ..protocol.command import Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult, Rows
from ..protocol.table import counted
from ..view import block_summary, task_table
from ..view.block_summary import BlockSummary
from ..view.process import ProcessView
from ..view.task_view import TaskView
from .spans import age_ns

COLUMNS = ("span", "start_ms", "took_ms", "status", "kind", "thread", "span_id", "parent_id", "depth")
# A shorter beginning of an id matches too many traces.
LEAST_CHARS = 4
NAMED = 20


class TraceCommand(Command):
    name = "trace"
    summary = "one trace: its spans, tasks and blocks"
    help_order = 90

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("trace", metavar="ID", help="the trace's id, or its beginning")

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        spans = list(_spans(process))
        trace_id = _chosen(options.trace.lower(), [span.trace_id for span in spans])
        spans = sorted((s for s in spans if s.trace_id == trace_id), key=lambda span: span.start_ns)
        tasks, working = TaskView(process), _tasks_in(trace_id)
        hits = [one for one in block_summary.kept(process) if _is_hit(one, trace_id)]
        lines = [f"trace {trace_id}: {counted(len(spans), 'span')}"]
        lines += [
            f"task {task_table.label(task)} is {tasks.state(task)} at {tasks.place(task)}"
            for weak in working[:NAMED]
            if (task := weak()) is not None
        ]
        lines += [_describe(one, spans[0].start_ns, process) for one in hits[:NAMED]]
        return CommandResult(
            lines=tuple(lines),
            rows=Rows(COLUMNS, [_row(span, depth, spans[0].start_ns) for span, depth in _tree(spans)]),
            data={
                "trace_id": trace_id,
                "tasks": task_table.numbers_of(working[:NAMED]),
                "blocks": [
                    {"at_ms": (one.found.at_ns - spans[0].start_ns) / 1e6, "held_ms": one.held_ms}
                    for one in hits
                ],
            },
            hint="blocks: all of them" if hits else "spans --slowest: other spans",
        )


@dataclass(frozen=True, slots=True)
class _Span:
    """A span that has finished, or is in flight."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int | None
    status: str
    kind: str
    thread: str | None


def _spans(process: ProcessView) -> Iterator[_Span]:
    for s in process.recent.spans():
        yield _Span(
            s.name, s.trace_id, s.span_id, s.parent_id, s.start_ns, s.end_ns, s.status, s.kind, s.thread
        )
    for span in process.recent.in_flight():
        ids, parent = span.get_span_context(), span.parent
        yield _Span(
            name=span.name,
            trace_id=f"{ids.trace_id:032x}",
            span_id=f"{ids.span_id:016x}",
            parent_id=f"{parent.span_id:016x}" if parent is not None else "",
            start_ns=monotonic_ns() - age_ns(span),
            end_ns=None,
            status="in flight",
            kind=span.kind.name.lower(),
            thread=None,
        )


def _chosen(start: str, trace_ids: list[str]) -> str:
    found = {trace_id for trace_id in trace_ids if trace_id.startswith(start)}
    if len(start) < LEAST_CHARS:
        raise CommandError(f"expected at least {LEAST_CHARS} digits of the trace's id, got {start!r}")
    if not found:
        raise CommandError(f"no span of a trace {start} is in flight, or among the latest that finished")
    if len(found) > 1:
        raise CommandError(f"{len(found)} traces begin with {start}: {', '.join(sorted(found)[:3])} ...")
    return found.pop()


def _tree(spans: list[_Span]) -> Iterator[tuple[_Span, int]]:
    """Each span and its depth, below its parent; one whose parent is not known here is a root."""
    known = {span.span_id for span in spans}
    below: dict[str, list[_Span]] = {}
    for span in spans:
        below.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    todo = [(span, 0) for span in reversed(below.pop("", []))]
    while todo:
        span, depth = todo.pop()
        yield span, depth
        todo += [(child, depth + 1) for child in reversed(below.pop(span.span_id, []))]


def _tasks_in(trace_id: str) -> list[TaskRef]:
    """The tasks whose context is in this trace."""
    found: list[TaskRef] = []

    def visit(task: Task[Any], weak: TaskRef) -> None:
        if identity.of_task(task).trace_id == trace_id:
            found.append(weak)

    task_table.walk(visit)
    return found


def _is_hit(block: BlockSummary, trace_id: str) -> bool:
    """Whether the trace caused the block, or had to wait for it."""
    caused = any(look.sample.trace_id == trace_id for look in block.found.interval.looks)
    return caused or any(victim.trace_id == trace_id for victim in block.turn.victims)


def _describe(block: BlockSummary, zero_ns: int, process: ProcessView) -> str:
    where = process.ownership.place(block.found.frame)
    after_ms = (block.found.at_ns - zero_ns) / 1e6
    return f"after {after_ms:.1f} ms loop {block.turn.loop} was held for {block.held_ms:.1f} ms by {where}"


def _row(span: _Span, depth: int, zero_ns: int) -> tuple[object, ...]:
    return (
        "  " * depth + span.name,
        (span.start_ns - zero_ns) / 1e6,
        (span.end_ns - span.start_ns) / 1e6 if span.end_ns is not None else None,
        span.status,
        span.kind,
        span.thread,
        span.span_id,
        span.parent_id or None,
        depth,
    )
