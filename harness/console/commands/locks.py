"""`locks`: who waits for which lock, event or future, who holds it, and who waits in a circle."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from asyncio import Task
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

from ...probe.tasks.census import Ref
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..view import deadlock, task_table, task_waits
from ..view.process import ProcessView
from ..view.task_view import TaskView, short

COLUMNS = ("lock", "kind", "state", "owner", "waiters", "waiting", "where")
NAMED = 5


class LocksCommand(Command):
    name = "locks"
    summary = "who waits for which lock, and deadlocks"
    help_order = 120

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        seen = TaskView(process)
        found = _Waits(seen)
        task_table.walk(found.look)
        found.settle()
        circles = deadlock.circles(found.awaits)
        lines = [f"DEADLOCK: {found.told(circle)}" for circle in circles]
        rows = [_row(one, seen) for one in found.things.values()]
        rows += [_bare(place, waiters) for place, waiters in found.bare.items()]
        rows.sort(key=lambda row: -row[4])
        return CommandResult(
            lines=tuple(lines) or ("no deadlock among locks, and tasks that await each other",),
            rows=Rows(COLUMNS, rows),
            data={"deadlocks": [found.numbers(circle) for circle in circles]},
            hint="where ID: how it came to wait. asyncio's locks know no owner: it is read from the stacks",
        )


@dataclass(slots=True)
class _Thing:
    """A lock, semaphore, event ... that is waited for, or held."""

    thing: ref[Any]
    waiters: list[Ref] = field(default_factory=list)
    owners: list[Ref] = field(default_factory=list)


@dataclass(slots=True)
class _Waits:
    """What all tasks wait for and hold."""

    seen: TaskView
    things: dict[int, _Thing] = field(default_factory=dict)
    bare: dict[str, list[Ref]] = field(default_factory=dict)  # waits for a mere future, by place
    awaits: dict[int, list[int]] = field(default_factory=dict)  # task -> tasks, all of them needed
    _tasks: dict[int, Ref] = field(default_factory=dict)
    _locks: dict[int, int] = field(default_factory=dict)  # task -> the lock that it waits for

    def look(self, task: Task[Any], register: Ref) -> None:
        """Take note of one task."""
        key = id(task)
        wait = task_waits.of(task)
        for held in task_waits.held(task):
            if wait is None or not _waits_to_enter(wait, held):
                self._thing(held).owners.append(register)
        if wait is None:
            return
        self._tasks[key] = register
        awaited = task_waits.awaited(task) if wait.what in ("task", "gather", "TaskGroup", "future") else []
        if awaited:
            self.awaits[key] = [id(one) for one in awaited]
        elif wait.what == "future":
            self.bare.setdefault(self.seen.place(task), []).append(register)
        elif wait.on is not None and not isinstance(wait.on, asyncio.Queue):
            self._thing(wait.on).waiters.append(register)
            self._locks[key] = id(wait.on)

    def settle(self) -> None:
        """Whoever waits for a lock with one owner, waits for this owner."""
        for key, lock in self._locks.items():
            known = self.things[lock]
            thing = known.thing()
            if len(known.owners) == 1 and _has_one_owner(thing) and (owner := known.owners[0]()) is not None:
                self.awaits[key] = [id(owner)]

    def told(self, circle: list[int]) -> str:
        """``3 (a) waits for Lock 1, held by 4 (b), which waits for 3 (a)``."""
        words = []
        for key, after in zip(circle, [*circle[1:], circle[0]], strict=True):
            name, next_name = self._name(key), self._name(after)
            lock = self.things[self._locks[key]].thing() if key in self._locks else None
            words.append(
                f"{name} waits for {task_waits.name(lock)}, held by {next_name}"
                if lock is not None
                else f"{name} awaits {next_name}"
            )
        return "; ".join(words)

    def numbers(self, circle: list[int]) -> list[int]:
        """Its tasks as the console calls them."""
        return [task_table.number(task) for key in circle if (task := self._tasks[key]()) is not None]

    def _name(self, key: int) -> str:
        task = self._tasks[key]()
        return short(task) if task is not None else "?"

    def _thing(self, thing: Any) -> _Thing:
        return self.things.setdefault(id(thing), _Thing(ref(thing)))


def _waits_to_enter(wait: task_waits.Wait, lock: object) -> bool:
    """Whether it is this very lock that the task wants; a condition is entered by its lock."""
    return wait.on is lock or wait.on is getattr(lock, "_lock", wait)


def _has_one_owner(thing: Any) -> bool:
    return isinstance(thing, asyncio.Lock) or getattr(thing, "_bound_value", None) == 1


def _row(one: _Thing, seen: TaskView) -> tuple[Any, ...]:
    thing, waiters = one.thing(), [task for each in one.waiters[:NAMED] if (task := each()) is not None]
    owners = [task for each in one.owners[:NAMED] if (task := each()) is not None]
    return (
        task_waits.number(thing) if thing is not None else None,
        type(thing).__name__,
        _state(thing),
        ", ".join(map(short, owners)) or None,
        len(one.waiters),
        ", ".join(map(short, waiters)) or None,
        seen.place((waiters or owners)[0]) if waiters or owners else None,
    )


def _state(thing: Any) -> str | None:
    if isinstance(thing, asyncio.Semaphore):
        return f"{thing._value} free"
    if isinstance(thing, asyncio.Event):
        return "set" if thing.is_set() else "not set"
    if isinstance(thing, (asyncio.Lock, asyncio.Condition)):
        return "locked" if thing.locked() else "unlocked"
    return None


def _bare(place: str, waiters: list[Ref]) -> tuple[Any, ...]:
    named = [short(task) for each in waiters[:NAMED] if (task := each()) is not None]
    return None, "Future", "pending", None, len(waiters), ", ".join(named) or None, place
