"""`ps`: one line for each pending task."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from asyncio import Task
from typing import Any

from ...probe.tasks.census import Ref
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..view import task_table, task_view
from ..view.process import ProcessView
from ..view.task_view import TaskView

# What one looks for first.
_RANK = {task_view.RUNNING: "0", task_view.READY: "1", task_view.WAITING: "2"}


class PsCommand(Command):
    name = "ps"
    summary = "every task: its state, and where it waits"
    help_order = 30

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--state", choices=tuple(_RANK), help="only tasks in this state")

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        seen = TaskView(process)
        refs: list[Ref] = []
        keys: list[str] = []
        count = dict.fromkeys(_RANK, 0)

        def look(task: Task[Any], register: Ref) -> None:
            state = seen.state(task)
            count[state] += 1
            if options.state in (None, state):
                refs.append(register)
                # As people count: Task-9 before Task-10.
                name = task.get_name()
                keys.append(f"{_RANK[state]}{len(name):09}{name}")

        task_table.walk(look)
        in_order = [refs[index] for index in task_table.ordered(keys)]
        rows = task_table.TaskRows(in_order, lambda task, _: seen.row(task), task_view.COLUMNS)
        states = ", ".join(f"{number} {state}" for state, number in count.items())
        return CommandResult(
            lines=(f"{sum(count.values())} tasks: {states}",),
            rows=Rows(task_view.COLUMNS, rows),
            data={"tasks": sum(count.values()), **count},
            hint="where ID: what a task waits for; top: which tasks use the time",
        )
