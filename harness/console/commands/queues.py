"""`queues`: asyncio's queues that the program keeps, how full they are, which tasks wait, and which grow."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ...probe.gauges import queues
from ...probe.hooks.state import sync_state
from ...probe.tasks import identity
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..protocol.table import counted
from ..view import judgement, task_table, task_waits
from ..view.process import ProcessView
from ..view.task_view import TaskView

COLUMNS = ("queue", "kind", "size", "maxsize", "unfinished", "getters", "putters", "waiting", "where")
# What grows, and whose consumers have died or serve nobody.
RULES = ("growth", "deaths", "standstills")
NAMED = 5


class QueuesCommand(Command):
    name = "queues"
    summary = "asyncio's queues, the tasks that wait for them, and those that grow"
    help_order = 110

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        found = judgement.about(process, *RULES)
        tasks = TaskView(process)
        loops = [view.loop for view in process.loops()]
        kept = queues.every_queue(task_table.refs(), loops)
        rows = [_row(queue, tasks) for weak in kept if (queue := weak()) is not None]
        # The fullest first, then those with the most waiting tasks.
        rows.sort(key=lambda row: (-row[2], -row[5] - row[6], row[0]))
        listed = counted(len(rows), "queue") if rows else "no queues"
        where = "in variables of tasks, attributes of objects there, global names, and protocols"
        return CommandResult(
            lines=(*judgement.lines(found, process), f"{listed} {where}"),
            rows=Rows(COLUMNS, rows),
            data={"findings": judgement.data(found, process), "queues": len(rows)},
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
        ", ".join(str(task_table.number(task)) for task in waiting) or None,
        tasks.place(waiting[0]) if waiting else None,
    )
