"""`ps`: one line for each pending task."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from asyncio import Task
from typing import Any

from ...census import Ref
from .. import glance, tasktable
from ..answer import Answer, Rows
from ..command import READS, Client
from ..glance import Glance
from ..target import Target

# What one looks for first.
_RANK = {glance.RUNNING: "0", glance.READY: "1", glance.WAITING: "2"}


class Ps:
    name = "ps"
    summary = "every task: its state, and where it waits"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--state", choices=tuple(_RANK), help="only tasks in this state")

    def needs(self, options: Namespace) -> str:
        return READS

    def answer(self, options: Namespace, target: Target, client: Client) -> Answer:
        seen = Glance(target)
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

        tasktable.walk(look)
        in_order = [refs[index] for index in tasktable.ordered(keys)]
        rows = tasktable.TaskRows(in_order, lambda task, _: seen.row(task), glance.COLUMNS)
        states = ", ".join(f"{number} {state}" for state, number in count.items())
        return Answer(
            lines=(f"{sum(count.values())} tasks: {states}",),
            rows=Rows(glance.COLUMNS, rows),
            data={"tasks": sum(count.values()), **count},
            hint="where ID: what a task waits for; top: which tasks use the time",
        )


COMMAND = Ps()
