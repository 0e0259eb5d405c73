"""`top`: what the tasks did since it was asked before, those that held the loop longest first."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from asyncio import Task
from typing import Any

from ...probe.tasks import identity
from ...probe.tasks.census import Ref
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..view import task_table
from ..view.process import ProcessView
from ..view.task_stats import STEPS, StatsWindow, TaskAccount
from ..view.task_view import TaskView

COLUMNS = (
    *("id", "task", "state", "busy_ms", "busy_ratio", "ready_ms", "wait_ms", "polls", "longest_ms"),
    *("coroutine", "where", "span", "trace_id"),
)
# Tasks that have ended are told by coroutine; more than these are not worth a line.
ENDED = 5


class TopCommand(Command):
    name = "top"
    summary = "the tasks that use most time"
    help_order = 20

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--by", choices=("busy", "ready", "wait", "polls"), default="busy", help="what comes first"
        )

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        window = STEPS.window(process, client)
        seen = TaskView(process)
        refs: list[Ref] = []
        keys: list[float] = []

        def look(task: Task[Any], register: Ref) -> None:
            refs.append(register)
            keys.append(-_weight(window, window.of(task), id(task), options.by))

        task_table.walk(look)
        in_order = [refs[index] for index in task_table.ordered(keys)]
        rows = task_table.TaskRows(in_order, lambda task, _: _row(task, window, seen), COLUMNS)
        length_ms = window.length_ns / 1e6
        return CommandResult(
            lines=(
                f"{len(refs)} tasks, what they did in the last {length_ms / 1e3:.1f} s",
                *_ended(window),
                *_cautions(window),
            ),
            rows=Rows(COLUMNS, rows),
            data={
                "tasks": len(refs),
                "window_ms": length_ms,
                "estimated": window.looked > 0,
                "callbacks": window.callbacks.count,
                "callbacks_busy_ms": window.callbacks.busy_ns / 1e6,
                "ended": [
                    {"coroutine": name, "tasks": s.count, "polls": s.polls, "busy_ms": s.busy_ns / 1e6}
                    for name, s in _by_time(window)
                ],
            },
            hint="where ID: what a task does now; top again: what happened since",
        )


def _weight(window: StatsWindow, account: TaskAccount, key: int, by: str) -> float:
    if by == "polls":
        return account.polls
    if by == "ready":
        return account.ready_ns
    busy_ns = account.busy_ns or window.estimated_ns(key)
    return window.length_ns - busy_ns - account.ready_ns if by == "wait" else busy_ns


def _row(task: Task[Any], window: StatsWindow, seen: TaskView) -> tuple[object, ...]:
    who, account = identity.of_task(task), window.of(task)
    counted = window.counts(task)
    busy_ns = account.busy_ns if counted else window.estimated_ns(id(task))
    length_ns = max(1, window.length_ns)
    return (
        task_table.number(task),
        who.task,
        seen.state(task),
        busy_ns / 1e6,
        busy_ns / length_ns,
        account.ready_ns / 1e6 if counted else None,
        max(0, length_ns - busy_ns - account.ready_ns) / 1e6 if counted else None,
        account.polls if counted else None,
        account.longest_ns / 1e6 if counted else None,
        who.coroutine,
        seen.place(task),
        who.span or None,
        who.trace_id or None,
    )


def _by_time(window: StatsWindow) -> list[tuple[str, Any]]:
    return sorted(window.ended.items(), key=lambda item: -item[1].busy_ns)


def _ended(window: StatsWindow) -> list[str]:
    """The tasks that ended meanwhile, and what is no task's."""
    lines = [
        f"ended: {s.count} of {name or 'other coroutines'}, {s.busy_ns / 1e6:.1f} ms in {s.polls} polls"
        for name, s in _by_time(window)[:ENDED]
    ]
    if window.callbacks.busy_ns >= window.length_ns / 100:
        lines.append(
            f"callbacks of no task: {window.callbacks.busy_ns / 1e6:.1f} ms in {window.callbacks.count}"
        )
    return lines


def _cautions(window: StatsWindow) -> list[str]:
    """What of it is not exact."""
    lines = []
    if window.looked:
        lines.append(
            f"uvloop: busy time is estimated from {window.looked} looks, which favour what releases the GIL; "
            "polls and the time of waiting for a turn are not known there"
        )
    if STEPS.missed:
        lines.append(f"{STEPS.missed} steps could not be counted: of tasks that are not asyncio's own")
    return lines
