"""`where`: the stack of one task, down to the innermost await and through the tasks that it awaits."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from asyncio import Task
from collections.abc import Iterator
from typing import Any

from ...probe.tasks import identity, waiting
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..view import task_table
from ..view.process import ProcessView
from ..view.task_view import TaskView

COLUMNS = ("depth", "id", "function", "where", "waits_for")
# Bounds for the awaited tasks whose stacks are shown: their depth and their number.
DEPTH, TASKS = 10, 50


class WhereCommand(Command):
    name = "where"
    summary = "where a task waits, down to the innermost await"
    help_order = 40

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", metavar="ID|NAME", help="as shown by `ps`")

    def candidates(self, process: ProcessView) -> list[str]:
        return task_table.numbers()

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        task = task_table.find(options.task)
        tasks = TaskView(process)
        number, state, made = task_table.number(task), tasks.state(task), tasks.made_at(task)
        waiters = list(identity.waiters_of(task))
        wait = tasks.waits_for(task)
        lines = [f"task {task_table.label(task)} is {state}" + (f": {wait}" if wait else "")]
        lines += [f"awaited by {task_table.label(waiter)}" for waiter in waiters]
        lines += [f"made at {place}" for place in made or ()]
        return CommandResult(
            lines=tuple(lines),
            rows=Rows(COLUMNS, list(_rows(task, tasks, 0, set()))),
            data={
                "id": number,
                "task": task.get_name(),
                "state": state,
                "awaited_by": list(map(task_table.number, waiters)),
                "made": made,
                "forsaken": waiting.OrphanedWait()(task),
            },
            hint=f"task {number}: everything about it",
        )


def _rows(task: Task[Any], tasks: TaskView, depth: int, known: set[int]) -> Iterator[tuple[object, ...]]:
    """The frames of *task*, then those of the tasks it awaits."""
    known.add(id(task))
    number, stack = task_table.number(task), tasks.stack(task)
    for index, frame in enumerate(stack):
        waits_for = tasks.waits_for(task) if index == len(stack) - 1 else None
        yield depth, number, frame.function, f"{tasks.ownership.short(frame.file)}:{frame.line}", waits_for
    for awaited in waiting.awaited(task) if depth < DEPTH else ():
        if id(awaited) not in known and len(known) < TASKS:
            yield from _rows(awaited, tasks, depth + 1, known)
