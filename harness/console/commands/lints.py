"""`lints`: tasks that look wrong, by their state, their latest steps, and the probe's events."""

from __future__ import annotations

from argparse import Namespace
from asyncio import Task, current_task
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from ...probe.hooks.state.task_state import TaskRef
from ...record.clock import monotonic_ns
from ...record.observation import (
    AwaitSite,
    CancelSwallowed,
    Coroutine,
    ExceptionLost,
    NeverAwaited,
    TaskDestroyed,
    TasksCounted,
)
from ...stacks.ownership import CodeOwnership
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..protocol.table import counted
from ..view import task_table, task_waits
from ..view.process import ProcessView
from ..view.task_stats import STEPS, StatsWindow
from ..view.task_view import TaskView

COLUMNS = ("level", "lint", "id", "task", "what", "where", "count")
WARNING, NOTE = "warning", "note"

# A longer step should have yielded.
UNYIELDING_NS = 1_000_000_000
# The polls needed to judge a task, and the share of them after which it woke itself.
POLLS, ITSELF = 20, 0.5
# A leak: the tasks at one line grew in each of this many censuses, and to at least this number.
CENSUSES, LEAKED = 4, 20
# Rows for tasks that are pending for ever; further tasks are only counted.
ORPHANED = 50

Row = tuple[str, str, int | None, str | None, str, str | None, int]


class LintsCommand(Command):
    name = "lints"
    summary = "tasks that look wrong"
    help_order = 130

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        window, tasks = STEPS.window(process, client), TaskView(process)
        rows = [
            *_never_yielded(process, tasks),
            *_of_tasks(window, tasks),
            *_recorded(process, process.ownership),
        ]
        rows.sort(key=lambda row: row[0], reverse=True)
        warnings = sum(row[0] == WARNING for row in rows)
        lines = [f"{counted(warnings, 'warning')}, {counted(len(rows) - warnings, 'note')}"]
        if window.samples:
            lines.append("uvloop: steps cannot be counted, so tasks that wake themselves are not detected")
        return CommandResult(
            lines=tuple(lines),
            rows=Rows(COLUMNS, rows),
            data={"warnings": warnings, "notes": len(rows) - warnings},
            hint="task ID: everything about one of them" if rows else "top: which tasks use the time",
        )


def _never_yielded(process: ProcessView, tasks: TaskView) -> Iterator[Row]:
    """Tasks in a step that does not end."""
    for view in process.loops():
        task = current_task(view.loop)
        held_ns = view.late_ns(monotonic_ns())
        if task is not None and held_ns >= UNYIELDING_NS:
            what = f"has not yielded for {held_ns / 1e9:.1f} s"
            yield _about(WARNING, "never yielded", task, what, tasks)


def _of_tasks(window: StatsWindow, tasks: TaskView) -> list[Row]:
    """Problems of the tasks' steps, and of the objects that they wait for."""
    rows: list[Row] = []
    orphaned = 0
    is_orphaned = task_waits.OrphanedWait()

    def visit(task: Task[Any], _: TaskRef) -> None:
        nonlocal orphaned
        account = window.of(task)
        if account.polls >= POLLS and account.woke_itself > account.polls * ITSELF:
            share = account.woke_itself / account.polls
            what = f"woke itself in {share:.0%} of {account.polls} polls: a loop around sleep(0)?"
            rows.append(_about(WARNING, "self-waking", task, what, tasks))
        if is_orphaned(task) and not task_waits.has_timeout(task):
            orphaned += 1
            if orphaned <= ORPHANED:
                what = (
                    f"{task_waits.of(task)}, to which nothing else refers: only cancelling the task ends it"
                )
                rows.append(_about(NOTE, "pending for ever", task, what, tasks))

    task_table.walk(visit)
    if orphaned > ORPHANED:
        rows.append((NOTE, "pending for ever", None, None, "further tasks", None, orphaned - ORPHANED))
    return rows


def _about(level: str, lint: str, task: Task[Any], what: str, tasks: TaskView) -> Row:
    return level, lint, task_table.number(task), task.get_name(), what, tasks.place(task), 1


def _recorded(process: ProcessView, ownership: CodeOwnership) -> Iterator[Row]:
    """The probe's events about tasks. An event is repeated when its count grows."""
    latest: dict[object, Row] = {}
    places: dict[int, Coroutine] = {}
    censuses: list[TasksCounted] = []
    for event in process.recent.events():
        match event:
            case TaskDestroyed(coroutine=of, count=count):
                row = (WARNING, "destroyed", None, None, f"{of.name} was destroyed while pending")
            case ExceptionLost(coroutine=of, count=count):
                row = (WARNING, "never retrieved", None, None, f"{event.error}: {event.message}")
            case NeverAwaited(coroutine=of, count=count):
                row = (WARNING, "never awaited", None, None, f"{of.name} was created but never awaited")
            case CancelSwallowed(coroutine=of, count=count):
                row = (WARNING, "swallowed", None, None, f"{of.name} was cancelled but finished normally")
            case AwaitSite():
                places[event.place] = event.coroutine
                continue
            case TasksCounted():
                censuses.append(event)
                continue
            case _:
                continue
        where = f"{ownership.short(of.file)}:{of.line}" if of is not None else None
        latest[type(event), event.at_ns] = (*row, where, count)
    yield from latest.values()
    yield from _leaked(censuses[-CENSUSES:], places, ownership)


def _leaked(
    censuses: list[TasksCounted], places: dict[int, Coroutine], ownership: CodeOwnership
) -> Iterator[Row]:
    """Tasks at one line, if their number only grew and hardly any has left the line."""
    if len(censuses) < CENSUSES:
        return
    for cluster in censuses[-1].clusters:
        sizes = [next((c.count for c in one.clusters if c.place == cluster.place), 0) for one in censuses]
        of = places.get(cluster.place)
        grew = all(before < after for before, after in pairwise(sizes))
        if of is not None and grew and cluster.count >= LEAKED and cluster.count >= cluster.seen * 0.8:
            where = f"{ownership.short(of.file)}:{of.line}"
            what = f"{of.name}: from {sizes[0]} to {cluster.count} tasks at this line; hardly any has left it"
            yield WARNING, "leaked", None, None, what, where, cluster.count
