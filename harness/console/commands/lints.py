"""`lints`: what looks wrong about tasks: now, in the last moment, and in what the probe has recorded."""

from __future__ import annotations

from argparse import Namespace
from asyncio import Task, current_task
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from ...probe.tasks.census import Ref
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
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..view import loop_history, task_table, task_waits
from ..view.blame import Territory
from ..view.process import ProcessView
from ..view.task_stats import STEPS, StatsWindow
from ..view.task_view import TaskView

COLUMNS = ("level", "lint", "id", "task", "what", "where", "count")
WARNING, NOTE = "warning", "note"

# A step that takes longer has not yielded when it should.
UNYIELDING_NS = 1_000_000_000
# Of fewer steps a share says nothing.
POLLS, ITSELF = 20, 0.5
# A crowd of tasks that grew in each of the last censuses, and to this size.
CENSUSES, CROWD = 4, 20
# Of tasks that wait for ever, so many are told one by one.
FORSAKEN = 50

Row = tuple[str, str, int | None, str | None, str, str | None, int]


class LintsCommand(Command):
    name = "lints"
    summary = "tasks that look wrong"
    help_order = 130

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        window, seen = STEPS.window(process, client), TaskView(process)
        rows = [
            *_never_yielded(process, seen),
            *_of_tasks(window, seen),
            *_recorded(process, process.territory),
        ]
        rows.sort(key=lambda row: row[0], reverse=True)
        warnings = sum(row[0] == WARNING for row in rows)
        lines = [f"{warnings} warnings, {len(rows) - warnings} notes"]
        if window.looked:
            lines.append("uvloop: steps cannot be counted there, so tasks that wake themselves are not seen")
        return CommandResult(
            lines=tuple(lines),
            rows=Rows(COLUMNS, rows),
            data={"warnings": warnings, "notes": len(rows) - warnings},
            hint="task ID: everything about one of them" if rows else "top: which tasks use the time",
        )


def _never_yielded(process: ProcessView, seen: TaskView) -> Iterator[Row]:
    """Tasks in a step that does not end."""
    for view in process.loops():
        task = current_task(view.loop)
        held_ns = loop_history.late_ns(view, monotonic_ns())
        if task is not None and held_ns >= UNYIELDING_NS:
            what = f"has not yielded for {held_ns / 1e9:.1f} s"
            yield _about(WARNING, "never yielded", task, what, seen)


def _of_tasks(window: StatsWindow, seen: TaskView) -> list[Row]:
    """What the steps of the tasks tell, and what they wait for."""
    rows: list[Row] = []
    forsaken = 0
    is_forsaken = task_waits.OrphanedWait()

    def look(task: Task[Any], _: Ref) -> None:
        nonlocal forsaken
        account = window.of(task)
        if account.polls >= POLLS and account.woke_itself > account.polls * ITSELF:
            share = account.woke_itself / account.polls
            what = f"woke itself for {share:.0%} of {account.polls} polls: a loop around sleep(0)?"
            rows.append(_about(WARNING, "self-waking", task, what, seen))
        if is_forsaken(task) and not task_waits.has_timeout(task):
            forsaken += 1
            if forsaken <= FORSAKEN:
                what = f"{task_waits.of(task)}, which nobody else refers to: only a cancellation ends that"
                rows.append(_about(NOTE, "pending for ever", task, what, seen))

    task_table.walk(look)
    if forsaken > FORSAKEN:
        rows.append((NOTE, "pending for ever", None, None, "so many more", None, forsaken - FORSAKEN))
    return rows


def _about(level: str, lint: str, task: Task[Any], what: str, seen: TaskView) -> Row:
    return level, lint, task_table.number(task), task.get_name(), what, seen.place(task), 1


def _recorded(process: ProcessView, territory: Territory) -> Iterator[Row]:
    """What the probe's watch over tasks has written. As a count grows, it is written again."""
    latest: dict[object, Row] = {}
    places: dict[int, Coroutine] = {}
    censuses: list[TasksCounted] = []
    for event in process.recent.events():
        match event:
            case TaskDestroyed(coroutine=of, count=count):
                row = (WARNING, "destroyed", None, None, f"{of.name}: pending, and nobody kept it")
            case ExceptionLost(coroutine=of, count=count):
                row = (WARNING, "never retrieved", None, None, f"{event.error}: {event.message}")
            case NeverAwaited(coroutine=of, count=count):
                row = (WARNING, "never awaited", None, None, f"{of.name} was made, and never awaited")
            case CancelSwallowed(coroutine=of, count=count):
                row = (WARNING, "swallowed", None, None, f"{of.name} was cancelled, and ended as if not")
            case AwaitSite():
                places[event.place] = event.coroutine
                continue
            case TasksCounted():
                censuses.append(event)
                continue
            case _:
                continue
        where = f"{territory.short(of.file)}:{of.line}" if of is not None else None
        latest[type(event), event.at_ns] = (*row, where, count)
    yield from latest.values()
    yield from _leaked(censuses[-CENSUSES:], places, territory)


def _leaked(
    censuses: list[TasksCounted], places: dict[int, Coroutine], territory: Territory
) -> Iterator[Row]:
    """Crowds at one place that only grew, and that next to nobody left."""
    if len(censuses) < CENSUSES:
        return
    for crowd in censuses[-1].crowds:
        sizes = [next((c.count for c in one.crowds if c.place == crowd.place), 0) for one in censuses]
        of = places.get(crowd.place)
        grew = all(before < after for before, after in pairwise(sizes))
        if of is not None and grew and crowd.count >= CROWD and crowd.count >= crowd.seen * 0.8:
            where = f"{territory.short(of.file)}:{of.line}"
            what = f"{of.name}: {sizes[0]} tasks at this place, then {crowd.count}, and hardly one has left"
            yield WARNING, "leaked", None, None, what, where, crowd.count
