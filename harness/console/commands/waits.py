"""`waits`: what tasks wait for, and where, the largest groups first; and what stands still."""

from __future__ import annotations

from argparse import Namespace
from asyncio import Task
from dataclasses import dataclass, field
from typing import Any

from ...probe.hooks.state.task_state import TaskRef
from ...probe.tasks import identity
from ..protocol.command import Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult, Rows
from ..protocol.table import counted
from ..view import judgement, task_table, task_waits
from ..view.process import ProcessView
from ..view.task_view import TaskView

COLUMNS = ("tasks", "waits_for", "where", "coroutine", "some")
RULES = ("standstills", "deaths", "wakeups", "children")
NAMED = 3


class WaitsCommand(Command):
    name = "waits"
    summary = "what tasks wait for, and where; what stands still"
    help_order = 35

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        tasks = TaskView(process)
        groups: dict[tuple[str, str, str], _WaitGroup] = {}

        def visit(task: Task[Any], weak: TaskRef) -> None:
            if (wait := task_waits.of(task, process.ownership)) is None:
                return
            # Tasks that sleep, or wait for a task each, wait for the same kind of thing.
            what = str(wait) if wait.on is not None and not isinstance(wait.on, Task) else wait.what
            known = identity.of_task(task)
            groups.setdefault((what, tasks.place(task), known.coroutine), _WaitGroup()).add(weak)

        found, unread = judgement.about(process, *RULES), ""
        try:
            task_table.walk(visit)
        except CommandError as exc:
            unread = str(exc)
        rows = [
            (group.count, what, place, coroutine, task_table.labels(group.first))
            for (what, place, coroutine), group in groups.items()
        ]
        rows.sort(key=lambda row: (-row[0], row[1]))
        waiting = sum(group.count for group in groups.values())
        return CommandResult(
            lines=(*judgement.lines(found, process), unread or f"{counted(waiting, 'task')} waiting"),
            rows=Rows(COLUMNS, rows),
            data={"findings": judgement.data(found, process), "waiting": waiting},
            hint="where ID: the stack of a waiting task; locks: who holds what others wait for",
        )


@dataclass(slots=True)
class _WaitGroup:
    """The tasks of one coroutine that wait for the same at the same line."""

    count: int = 0
    first: list[TaskRef] = field(default_factory=list)

    def add(self, weak: TaskRef) -> None:
        """Count one more."""
        self.count += 1
        if len(self.first) < NAMED:
            self.first.append(weak)
