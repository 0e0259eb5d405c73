"""`tree`: which tasks await which; tasks that no other task awaits are the roots."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from asyncio import Task
from dataclasses import dataclass, field
from typing import Any

from ...probe.hooks.state.task_state import TaskRef
from ...probe.tasks import circle, identity
from ..gil_yield import GilYielder, yielding
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..protocol.table import counted
from ..view import task_table
from ..view.process import ProcessView
from ..view.task_view import TaskView

COLUMNS = ("id", "task", "state", "coroutine", "where", "waits_for", "awaits", "depth", "parent")
DEPTH = 10


class TreeCommand(Command):
    name = "tree"
    summary = "which task awaits which"
    help_order = 50

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", nargs="?", metavar="ID|NAME", help="only what this task awaits")
        parser.add_argument("--depth", type=int, default=DEPTH, metavar="N", help=f"maximum depth [{DEPTH}]")

    def candidates(self, process: ProcessView) -> list[str]:
        return task_table.numbers()

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        tasks = TaskView(process)
        forest = _Forest()
        task_table.walk(forest.visit)
        cycles = circle.cycles(forest.below, GilYielder().maybe_yield)
        if options.task is not None:
            forest.grow(id(task_table.find(options.task)), options.depth)
        else:
            # A cycle has no root; any of its tasks will do.
            for root in yielding([*forest.roots(), *(cycle[0] for cycle in cycles)]):
                forest.grow(root, options.depth)
        rows = task_table.TaskRows(
            [forest.tasks[key] for key in forest.keys],
            lambda task, index: _row(task, index, forest, tasks),
            COLUMNS,
        )
        lines = [f"{counted(len(forest.tasks), 'task')}, {len(forest.keys)} in the tree"]
        lines += [f"DEADLOCK: {forest.describe(cycle)}" for cycle in cycles]
        return CommandResult(
            lines=tuple(lines),
            rows=Rows(COLUMNS, rows),
            data={"tasks": len(forest.tasks), "deadlocks": [forest.numbers(cycle) for cycle in cycles]},
            hint="where ID: the stack of one, and those of the tasks that it awaits",
        )


@dataclass(slots=True)
class _Forest:
    """The pending tasks by `id`, and their trees as flat lists, for the reason given at `task_table.walk`."""

    tasks: dict[int, TaskRef] = field(default_factory=dict)
    below: dict[int, list[int]] = field(default_factory=dict)  # the tasks that each awaits
    names: dict[int, str] = field(default_factory=dict)
    keys: list[int] = field(default_factory=list)  # of all trees, one after the other
    depths: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    _awaited: set[int] = field(default_factory=set)

    def visit(self, task: Task[Any], weak: TaskRef) -> None:
        """Add a task, without its place in a tree."""
        self.tasks[id(task)] = weak
        self.names[id(task)] = task_table.name_key(task)
        for waiter in identity.waiters_of(task):
            self.below.setdefault(id(waiter), []).append(id(task))
            self._awaited.add(id(task))

    def roots(self) -> list[int]:
        """The tasks that no other task awaits; first those that await others."""
        roots = [key for key in self.tasks if key not in self._awaited]
        keys = [f"{key not in self.below:d}{self.names[key]}" for key in roots]
        return [roots[index] for index in task_table.ordered(keys)]

    def grow(self, root: int, deepest: int) -> None:
        """Add a tree. A task that several others await is placed below the first of them."""
        placed = {root}
        todo = [(root, 0, 0)]
        while todo:
            key, depth, parent = todo.pop()
            if key not in self.tasks:
                continue  # it was made after the walk
            self.keys.append(key)
            self.depths.append(depth)
            self.parents.append(parent)
            below = self.below.get(key, ()) if depth < deepest else ()
            for child in sorted(below, key=lambda task: self.names.get(task, ""), reverse=True):
                if child not in placed:
                    placed.add(child)
                    todo.append((child, depth + 1, key))

    def describe(self, cycle: list[int]) -> str:
        """``3 (a) awaits 4 (b), which awaits 3 (a)``."""
        names = [task_table.labels([self.tasks[key]]) or "?" for key in (*cycle, cycle[0])]
        return f"{names[0]} awaits " + ", which awaits ".join(names[1:])

    def numbers(self, cycle: list[int]) -> list[int]:
        """The console's numbers of the tasks in *cycle*."""
        return task_table.numbers_of(self.tasks[key] for key in cycle)


def _row(task: Task[Any], index: int, forest: _Forest, tasks: TaskView) -> tuple[object, ...]:
    known, depth = identity.of_task(task), forest.depths[index]
    above = forest.tasks.get(forest.parents[index])
    parent = above() if above is not None else None
    return (
        task_table.number(task),
        "  " * depth + known.task,
        tasks.state(task),
        known.coroutine,
        tasks.place(task),
        tasks.waits_for(task),
        len(forest.below.get(id(task), ())),
        depth,
        task_table.number(parent) if parent is not None else None,
    )
