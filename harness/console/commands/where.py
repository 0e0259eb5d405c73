"""`where`: the stack of one task, down to the innermost await and through the tasks that it awaits."""

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
from ..view.task_view import TaskView, short

COLUMNS = ("depth", "id", "function", "where", "waits_for")
# Tasks that are awaited by tasks that are awaited ...: no further than this, and no more of them.
DEPTH, TASKS = 10, 50


class WhereCommand(Command):
    name = "where"
    summary = "where a task waits, down to the innermost await"
    help_order = 40

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", metavar="ID|NAME", help="as `ps` shows it")

    def candidates(self, process: ProcessView) -> Iterator[str]:
        return iter(task_table.numbers())

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        task = task_table.find(options.task)
        seen = TaskView(process)
        birth = origin_of(task)
        awaited_by = [short(waiter) for waiter in identity.waiters_of(task)]
        state = seen.state(task)
        lines = [f"task {short(task)} is {state}" + (f": {wait}" if (wait := seen.waits_for(task)) else "")]
        lines += [f"awaited by {waiter}" for waiter in awaited_by]
        lines += [f"made at {seen.territory.place(place)}" for place in (birth.places if birth else ())]
        return CommandResult(
            lines=tuple(lines),
            rows=Rows(COLUMNS, list(_rows(task, seen, 0, set()))),
            data={
                "id": task_table.number(task),
                "task": task.get_name(),
                "state": state,
                "awaited_by": [task_table.number(waiter) for waiter in identity.waiters_of(task)],
                "made": [seen.territory.place(place) for place in birth.places] if birth else None,
                "forsaken": task_waits.OrphanedWait()(task),
            },
            hint=f"task {task_table.number(task)}: everything about it",
        )


def _rows(task: Task[Any], seen: TaskView, depth: int, known: set[int]) -> Iterator[tuple[object, ...]]:
    """The frames of *task*, then those of the tasks it awaits."""
    known.add(id(task))
    number, stack = task_table.number(task), seen.stack(task)
    for index, frame in enumerate(stack):
        waits_for = seen.waits_for(task) if index == len(stack) - 1 else None
        yield depth, number, frame.function, f"{seen.territory.short(frame.file)}:{frame.line}", waits_for
    for awaited in task_waits.awaited(task) if depth < DEPTH else ():
        if id(awaited) not in known and len(known) < TASKS:
            yield from _rows(awaited, seen, depth + 1, known)
