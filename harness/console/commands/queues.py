"""`queues`: asyncio's queues that tasks wait for or hold, how full they are, and who waits."""

from __future__ import annotations

import asyncio
import gc
from argparse import Namespace
from asyncio import Task
from typing import Any
from weakref import ref

from ...probe.tasks import coroutine, identity
from ...probe.tasks.census import Ref
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..view import task_waits
from ..view.process import ProcessView
from ..view.task_table import number, walk
from ..view.task_view import TaskView

COLUMNS = ("queue", "kind", "size", "maxsize", "unfinished", "getters", "putters", "waiting", "where")
NAMED = 5


class QueuesCommand(Command):
    name = "queues"
    summary = "asyncio's queues, and who waits for them"
    help_order = 110

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        found: dict[int, ref[asyncio.Queue[Any]]] = {}

        def look(task: Task[Any], _: Ref) -> None:
            for link in coroutine.links(task.get_coro()):
                for held in gc.get_referents(link):
                    if issubclass(type(held), asyncio.Queue):
                        found.setdefault(id(held), ref(held))

        walk(look)
        seen = TaskView(process)
        rows = [_row(queue, seen) for one in found.values() if (queue := one()) is not None]
        # The fullest first, then those that most wait for.
        rows.sort(key=lambda row: (-row[2], -row[5] - row[6], row[0]))
        return CommandResult(
            lines=(f"{len(rows)} queues that a task waits for, or has at hand; others are not looked for",),
            rows=Rows(COLUMNS, rows),
            data={"queues": len(rows)},
            hint="where ID: what a task does that waits, or should not",
        )


def _row(queue: Any, seen: TaskView) -> tuple[Any, ...]:
    futures = [*queue._getters, *queue._putters]
    waiters = [waiter for future in futures[:NAMED] for waiter in identity.waiters_of(future)]
    return (
        task_waits.number(queue),
        type(queue).__name__,
        # Not `qsize`, which a program may have made its own.
        len(getattr(queue, "_queue", ())),
        queue._maxsize,
        queue._unfinished_tasks,
        len(queue._getters),
        len(queue._putters),
        ", ".join(str(number(waiter)) for waiter in waiters) or None,
        seen.place(waiters[0]) if waiters else None,
    )
