"""`top`: what the tasks did since the last `top`; those that held their loop longest come first."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from asyncio import Task
from typing import Any

from ...probe.tasks import identity
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..protocol.table import counted
from ..view import task_table
from ..view.process import ProcessView
from ..view.task_stats import STEPS, StatsSum, StatsWindow, TaskAccount
from ..view.task_view import TaskView

COLUMNS = (
    *("id", "task", "state", "busy_ms", "busy_ratio", "ready_ms", "wait_ms", "polls", "longest_ms"),
    *("coroutine", "where", "span", "trace_id"),
)
# Coroutines whose ended tasks get a line.
ENDED = 5


class TopCommand(Command):
    name = "top"
    summary = "the tasks that use most time"
    help_order = 20

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--by", choices=("busy", "ready", "wait", "polls"), default="busy", help="sort by [busy]"
        )

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        window = STEPS.window(process, client)
        tasks = TaskView(process)
        rows = task_table.sorted_rows(
            lambda task: -_weight(window, window.of(task), id(task), options.by),
            lambda task, _: _row(task, window, tasks),
            COLUMNS,
        )
        length_ms = window.length_ns / 1e6
        return CommandResult(
            lines=(
                f"{counted(len(rows), 'task')}, in the last {length_ms / 1e3:.1f} s",
                *_ended(window),
                *_notes(window),
            ),
            rows=Rows(COLUMNS, rows),
            data={
                "tasks": len(rows),
                "window_ms": length_ms,
                "estimated": window.samples > 0,
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


def _row(task: Task[Any], window: StatsWindow, tasks: TaskView) -> tuple[object, ...]:
    known, account = identity.of_task(task), window.of(task)
    is_counted = window.counts(task)
    busy_ns = account.busy_ns if is_counted else window.estimated_ns(id(task))
    length_ns = max(1, window.length_ns)
    return (
        task_table.number(task),
        known.task,
        tasks.state(task),
        busy_ns / 1e6,
        busy_ns / length_ns,
        account.ready_ns / 1e6 if is_counted else None,
        max(0, length_ns - busy_ns - account.ready_ns) / 1e6 if is_counted else None,
        account.polls if is_counted else None,
        account.longest_ns / 1e6 if is_counted else None,
        known.coroutine,
        tasks.place(task),
        known.span or None,
        known.trace_id or None,
    )


def _by_time(window: StatsWindow) -> list[tuple[str, StatsSum]]:
    return sorted(window.ended.items(), key=lambda item: -item[1].busy_ns)


def _ended(window: StatsWindow) -> list[str]:
    """The tasks that ended in the window, and the callbacks that belong to no task."""
    lines = [
        f"ended: {s.count} of {name or 'other coroutines'}, {s.busy_ns / 1e6:.1f} ms in {s.polls} polls"
        for name, s in _by_time(window)[:ENDED]
    ]
    if window.callbacks.busy_ns >= window.length_ns / 100:
        lines.append(
            f"callbacks without a task: {window.callbacks.busy_ns / 1e6:.1f} ms in {window.callbacks.count}"
        )
    return lines


def _notes(window: StatsWindow) -> list[str]:
    """The limits of the figures."""
    lines = []
    if window.samples:
        lines.append(
            f"uvloop: busy time is estimated from {window.samples} samples, which favour code that releases "
            "the GIL; polls and ready time are not known"
        )
    if STEPS.missed:
        lines.append(f"{counted(STEPS.missed, 'step')} of task classes other than asyncio's not counted")
    return lines
