"""`task`: everything about one task."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from asyncio import Task
from collections.abc import Iterator
from typing import Any

from ...probe.hooks.task_hook import origin_of
from ...probe.tasks import identity
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..view import task_table, task_waits
from ..view.process import ProcessView
from ..view.task_stats import STEPS
from ..view.task_view import TaskView, short

COLUMNS = ("function", "where")
VALUE_CHARS = 200


class TaskCommand(Command):
    name = "task"
    summary = "everything about one task"
    help_order = 60

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", metavar="ID|NAME", help="as `ps` shows it")
        parser.add_argument(
            "--polls", action="store_true", help="count its steps for a moment, as `top` does"
        )

    def candidates(self, process: ProcessView) -> Iterator[str]:
        return iter(task_table.numbers())

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        task = task_table.find(options.task)
        data: dict[str, object] = {}
        if options.polls:
            window = STEPS.window(process, client)
            account = window.of(task)
            if window.counts(task):
                data |= {
                    "window_ms": window.length_ns / 1e6,
                    "polls": account.polls,
                    "busy_ms": account.busy_ns / 1e6,
                    "ready_ms": account.ready_ns / 1e6,
                }
        seen = TaskView(process)
        data = {**_facts(task, seen), **data}
        frames = seen.stack(task)
        return CommandResult(
            lines=tuple(
                f"{name.replace('_', ' ')}: {_said(value)}" for name, value in data.items() if _is_told(value)
            ),
            rows=Rows(COLUMNS, [(f.function, f"{seen.territory.short(f.file)}:{f.line}") for f in frames]),
            data=data,
            hint=f"where {task_table.number(task)}: its stack through what it awaits",
        )


def _facts(task: Task[Any], seen: TaskView) -> dict[str, object]:
    who, birth = identity.of_task(task), origin_of(task)
    # Not `task.exception()`: it counts as retrieved then, and the program's own log would lack it.
    error: BaseException | None = getattr(task, "_exception", None)
    return {
        "id": task_table.number(task),
        "task": who.task,
        "state": seen.state(task),
        "coroutine": who.coroutine,
        "loop": seen.loop(task),
        "where": seen.place(task),
        "waits_for": seen.waits_for(task),
        "forsaken": task_waits.OrphanedWait()(task),
        "awaited_by": [short(waiter) for waiter in identity.waiters_of(task)],
        "awaits": [short(one) for one in task_waits.awaited(task)],
        "inside_of": [task_waits.name(lock) for lock in task_waits.held(task)],
        "callbacks": [_callback(callback) for callback, _ in getattr(task, "_callbacks", None) or ()],
        "cancelling": task.cancelling(),
        "cancelled": task.cancelled(),
        "exception": f"{type(error).__name__}: {_text(error)}" if error is not None else None,
        "age_s": seen.age_s(task),
        "made": [seen.territory.place(place) for place in birth.places] if birth else None,
        "made_by": short(birth.parent) if birth and birth.parent is not None else None,
        "span": who.span or None,
        "trace_id": who.trace_id or None,
        "span_id": who.span_id or None,
    }


def _callback(callback: Any) -> str:
    owner = getattr(callback, "__self__", None)
    name = getattr(callback, "__qualname__", None) or type(callback).__qualname__
    return f"resumes task {short(owner)}" if isinstance(owner, Task) else str(name)


def _text(error: BaseException) -> str:
    try:
        return str(error)[:VALUE_CHARS]
    except Exception:
        return "<its text cannot be had>"


def _is_told(value: object) -> bool:
    return value not in (None, [], False, 0)


def _said(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return f"{value:.1f}" if isinstance(value, float) else str(value)
