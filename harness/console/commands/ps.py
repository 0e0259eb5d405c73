"""`ps`: one line for each pending task."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from asyncio import Task
from typing import Any

from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..protocol.table import counted
from ..view import task_table, task_view
from ..view.process import ProcessView
from ..view.task_view import TaskView

# The most interesting state first.
_RANK = {task_view.RUNNING: "0", task_view.READY: "1", task_view.WAITING: "2"}


class PsCommand(Command):
    name = "ps"
    summary = "every task: its state, and where it waits"
    help_order = 30

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--state", choices=tuple(_RANK), help="only tasks in this state")

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        tasks = TaskView(process)
        count = dict.fromkeys(_RANK, 0)

        def key(task: Task[Any]) -> str | None:
            state = tasks.state(task)
            count[state] += 1
            return _RANK[state] + task_table.name_key(task) if options.state in (None, state) else None

        rows = task_table.sorted_rows(key, lambda task, _: tasks.row(task), task_view.COLUMNS)
        states = ", ".join(f"{number} {state}" for state, number in count.items())
        return CommandResult(
            lines=(f"{counted(sum(count.values()), 'task')}: {states}",),
            rows=Rows(task_view.COLUMNS, rows),
            data={"tasks": sum(count.values()), **count},
            hint="where ID: what a task waits for; top: which tasks use the time",
        )
