"""`queues`: asyncio's queues that tasks wait for or refer to, how full they are, and which tasks wait."""

from __future__ import annotations

import asyncio
import gc
from argparse import Namespace
from asyncio import Task
from typing import Any
from weakref import ref

from ...probe.hooks.state import sync_state
from ...probe.hooks.state.task_state import TaskRef
from ...probe.tasks import coroutine, identity
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..protocol.table import counted
from ..view import task_waits
from ..view.process import ProcessView
from ..view.task_table import number, walk
from ..view.task_view import TaskView

COLUMNS = ("queue", "kind", "size", "maxsize", "unfinished", "getters", "putters", "waiting", "where")
NAMED = 5


class QueuesCommand(Command):
    name = "queues"
    summary = "asyncio's queues, and the tasks that wait for them"
    help_order = 110

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        found: dict[int, ref[asyncio.Queue[Any]]] = {}

        def visit(task: Task[Any], _: TaskRef) -> None:
            for link in coroutine.links(task.get_coro()):
                for held in gc.get_referents(link):
                    if issubclass(type(held), asyncio.Queue):
                        found.setdefault(id(held), ref(held))

        walk(visit)
        tasks = TaskView(process)
        rows = [_row(queue, tasks) for weak in found.values() if (queue := weak()) is not None]
        # The fullest first, then those with the most waiting tasks.
        rows.sort(key=lambda row: (-row[2], -row[5] - row[6], row[0]))
        used = counted(len(rows), "queue") if rows else "no queues"
        return CommandResult(
            lines=(f"{used} in use by pending tasks (idle ones are not searched)",),
            rows=Rows(COLUMNS, rows),
            data={"queues": len(rows)},
            hint="where ID: the stack of a waiting task",
        )


def _row(queue: Any, tasks: TaskView) -> tuple[Any, ...]:
    getters, putters = sync_state.getters(queue), sync_state.putters(queue)
    waiting = [task for future in (*getters, *putters)[:NAMED] for task in identity.waiters_of(future)]
    return (
        task_waits.number(queue),
        type(queue).__name__,
        sync_state.size(queue),
        sync_state.capacity(queue),
        sync_state.unfinished(queue),
        len(getters),
        len(putters),
        ", ".join(str(number(task)) for task in waiting) or None,
        tasks.place(waiting[0]) if waiting else None,
    )
