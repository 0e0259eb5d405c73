"""`task`: everything about one task."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from asyncio import Task
from typing import Any

from ...probe.hooks.state import task_state
from ...probe.hooks.task_hook import origin_of
from ...probe.tasks import identity, waiting
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..view import task_table, task_waits
from ..view.process import ProcessView
from ..view.task_stats import STEPS
from ..view.task_table import label
from ..view.task_view import TaskView

COLUMNS = ("function", "where")
VALUE_CHARS = 200


class TaskCommand(Command):
    name = "task"
    summary = "everything about one task"
    help_order = 60

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", metavar="ID|NAME", help="as shown by `ps`")
        parser.add_argument(
            "--polls", action="store_true", help="count its steps for a moment, as `top` does"
        )

    def candidates(self, process: ProcessView) -> list[str]:
        return task_table.numbers()

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        task = task_table.find(options.task)
        polls: dict[str, object] = {}
        if options.polls:
            window = STEPS.window(process, client)
            account = window.of(task)
            if window.counts(task):
                polls = {
                    "window_ms": window.length_ns / 1e6,
                    "polls": account.polls,
                    "busy_ms": account.busy_ns / 1e6,
                    "ready_ms": account.ready_ns / 1e6,
                }
        tasks = TaskView(process)
        data = {**_facts(task, tasks), **polls}
        short = tasks.ownership.short
        return CommandResult(
            lines=tuple(
                f"{name.replace('_', ' ')}: {_text(value)}"
                for name, value in data.items()
                if value not in (None, [], False, 0)
            ),
            rows=Rows(COLUMNS, [(f.function, f"{short(f.file)}:{f.line}") for f in tasks.stack(task)]),
            data=data,
            hint=f"where {task_table.number(task)}: its stack, and those of the tasks that it awaits",
        )


def _facts(task: Task[Any], tasks: TaskView) -> dict[str, object]:
    known, origin, error = identity.of_task(task), origin_of(task), task_state.exception(task)
    return {
        "id": task_table.number(task),
        "task": known.task,
        "state": tasks.state(task),
        "coroutine": known.coroutine,
        "loop": tasks.loop(task),
        "where": tasks.place(task),
        "waits_for": tasks.waits_for(task),
        "forsaken": waiting.OrphanedWait()(task),
        "awaited_by": list(map(label, identity.waiters_of(task))),
        "awaits": list(map(label, waiting.awaited(task))),
        "inside_of": list(map(task_waits.name, waiting.held(task))),
        "callbacks": list(map(_callback, task_state.callbacks(task))),
        "cancelling": task.cancelling(),
        "cancelled": task.cancelled(),
        "exception": f"{type(error).__name__}: {_message(error)}" if error is not None else None,
        "age_s": tasks.age_s(task),
        "made": tasks.made_at(task),
        "made_by": label(origin.parent) if origin and origin.parent is not None else None,
        "span": known.span or None,
        "trace_id": known.trace_id or None,
        "span_id": known.span_id or None,
    }


def _callback(callback: Any) -> str:
    owner = getattr(callback, "__self__", None)
    return f"resumes task {label(owner)}" if isinstance(owner, Task) else identity.name_of(callback)


def _message(error: BaseException) -> str:
    try:
        return str(error)[:VALUE_CHARS]
    except Exception:
        return "<its message cannot be read>"


def _text(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return f"{value:.1f}" if isinstance(value, float) else str(value)
