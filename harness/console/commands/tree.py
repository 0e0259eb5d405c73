"""`tree`: who awaits whom, tasks that nobody awaits first."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from asyncio import Task
from dataclasses import dataclass, field
from typing import Any

from ...probe.tasks import identity
from ...probe.tasks.census import Ref
from ..gil_yield import yielding
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..view import deadlock, task_table
from ..view.process import ProcessView
from ..view.task_view import TaskView, short

COLUMNS = ("id", "task", "state", "coroutine", "where", "waits_for", "awaits", "depth", "parent")
DEPTH = 10


class TreeCommand(Command):
    name = "tree"
    summary = "who awaits whom"
    help_order = 50

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", nargs="?", metavar="ID|NAME", help="only what this task awaits")
        parser.add_argument("--depth", type=int, default=DEPTH, metavar="N", help="no deeper than this")

    def candidates(self, process: ProcessView) -> list[str]:
        return list(task_table.numbers())

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        seen = TaskView(process)
        forest = _Forest()
        task_table.walk(forest.look)
        circles = deadlock.circles(forest.below)
        if options.task is not None:
            forest.grow(id(task_table.find(options.task)), options.depth)
        else:
            # In a circle nobody is the first: any of it will do.
            for root in yielding([*forest.roots(), *(circle[0] for circle in circles)]):
                forest.grow(root, options.depth)
        rows = task_table.TaskRows(
            [forest.tasks[key] for key in forest.keys],
            lambda task, index: _row(task, index, forest, seen),
            COLUMNS,
        )
        lines = [f"{len(forest.tasks)} tasks, {len(forest.keys)} in the tree"]
        lines += [f"DEADLOCK: {forest.named(circle)}" for circle in circles]
        return CommandResult(
            lines=tuple(lines),
            rows=Rows(COLUMNS, rows),
            data={"tasks": len(forest.tasks), "deadlocks": [forest.numbers(circle) for circle in circles]},
            hint="where ID: the stack of one, through what it awaits",
        )


@dataclass(slots=True)
class _Forest:
    """The pending tasks by `id`, and the trees they make: flat lists, for the reason told at `walk`."""

    tasks: dict[int, Ref] = field(default_factory=dict)
    below: dict[int, list[int]] = field(default_factory=dict)  # whom each awaits
    names: dict[int, str] = field(default_factory=dict)
    keys: list[int] = field(default_factory=list)  # of all trees, one after the other
    depths: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    _awaited: set[int] = field(default_factory=set)

    def look(self, task: Task[Any], register: Ref) -> None:
        """Take note of one task."""
        self.tasks[id(task)] = register
        name = task.get_name()
        self.names[id(task)] = f"{len(name):09}{name}"  # as people count: Task-9 before Task-10
        for waiter in identity.waiters_of(task):
            self.below.setdefault(id(waiter), []).append(id(task))
            self._awaited.add(id(task))

    def roots(self) -> list[int]:
        """The tasks that nobody awaits; first those that await others."""
        roots = [key for key in self.tasks if key not in self._awaited]
        keys = [f"{key not in self.below:d}{self.names[key]}" for key in roots]
        return [roots[index] for index in task_table.ordered(keys)]

    def grow(self, root: int, deepest: int) -> None:
        """Add a tree to the branches. A task that several await stands below the first of them."""
        planted = {root}
        todo = [(root, 0, 0)]
        while todo:
            key, depth, parent = todo.pop()
            if key not in self.tasks:
                continue  # it has begun since
            self.keys.append(key)
            self.depths.append(depth)
            self.parents.append(parent)
            below = self.below.get(key, ()) if depth < deepest else ()
            for each in sorted(below, key=lambda one: self.names.get(one, ""), reverse=True):
                if each not in planted:
                    planted.add(each)
                    todo.append((each, depth + 1, key))

    def named(self, circle: list[int]) -> str:
        """``3 (a) awaits 4 (b), which awaits 3 (a)``."""
        names = [short(task) if (task := self.tasks[key]()) else "?" for key in (*circle, circle[0])]
        return f"{names[0]} awaits " + ", which awaits ".join(names[1:])

    def numbers(self, circle: list[int]) -> list[int]:
        """Its tasks as the console calls them."""
        return [task_table.number(task) for key in circle if (task := self.tasks[key]()) is not None]


def _row(task: Task[Any], index: int, forest: _Forest, seen: TaskView) -> tuple[object, ...]:
    who, depth, above = identity.of_task(task), forest.depths[index], forest.tasks.get(forest.parents[index])
    parent = above() if above is not None else None
    return (
        task_table.number(task),
        "  " * depth + who.task,
        seen.state(task),
        who.coroutine,
        seen.place(task),
        seen.waits_for(task),
        len(forest.below.get(id(task), ())),
        depth,
        task_table.number(parent) if parent is not None else None,
    )
