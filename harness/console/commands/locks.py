"""`locks`: the tasks that wait for or hold each lock, event or future, and deadlocks."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from asyncio import Task
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

from ...probe.hooks.state import sync_state
from ...probe.hooks.state.task_state import TaskRef
from ...probe.tasks import circle, waiting
from ..gil_yield import GilYielder
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..view import task_table, task_waits
from ..view.process import ProcessView
from ..view.task_view import TaskView

COLUMNS = ("lock", "kind", "state", "owner", "waiters", "waiting", "where")
NAMED = 5


class LocksCommand(Command):
    name = "locks"
    summary = "locks with their owners and waiters, and deadlocks"
    help_order = 120

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        tasks = TaskView(process)
        found = _WaitGraph(tasks)
        task_table.walk(found.visit)
        found.add_owners()
        cycles = circle.cycles(found.awaits, GilYielder().maybe_yield)
        lines = [f"DEADLOCK: {found.describe(cycle)}" for cycle in cycles]
        rows = [_row(lock, tasks) for lock in found.locks.values()]
        rows += [_of_future(place, waiters) for place, waiters in found.futures.items()]
        rows.sort(key=lambda row: -row[4])
        return CommandResult(
            lines=tuple(lines) or ("no deadlock among locks and tasks that await each other",),
            rows=Rows(COLUMNS, rows),
            data={"deadlocks": [found.numbers(cycle) for cycle in cycles]},
            hint="where ID: the stack of a waiting task. asyncio's locks record no owner: the stacks show it",
        )


@dataclass(slots=True)
class _Lock:
    """A lock, semaphore or event that tasks wait for or hold."""

    thing: ref[Any]
    waiters: list[TaskRef] = field(default_factory=list)
    owners: list[TaskRef] = field(default_factory=list)


@dataclass(slots=True)
class _WaitGraph:
    """The objects that all tasks wait for and hold, by `id`."""

    view: TaskView
    locks: dict[int, _Lock] = field(default_factory=dict)
    futures: dict[str, list[TaskRef]] = field(default_factory=dict)  # waiters for a plain future, by place
    awaits: dict[int, list[int]] = field(default_factory=dict)  # task -> tasks, all of which it needs
    _tasks: dict[int, TaskRef] = field(default_factory=dict)
    _inside: dict[int, list[TaskRef]] = field(default_factory=dict)  # conditions, by their locks
    _wanted: dict[int, int] = field(default_factory=dict)  # task -> the lock that it waits for

    def visit(self, task: Task[Any], weak: TaskRef) -> None:
        """Add a task."""
        key = id(task)
        wait = task_waits.of(task)
        for held in waiting.held(task):
            self._lock(held).owners.append(weak)
            if (lock := sync_state.lock_of(held)) is not None:
                self._inside.setdefault(id(lock), []).append(weak)
        if wait is None:
            return
        self._tasks[key] = weak
        awaited = waiting.awaited(task) if wait.what in ("task", "gather", "TaskGroup", "future") else []
        if awaited:
            self.awaits[key] = list(map(id, awaited))
        elif wait.what == "future":
            self.futures.setdefault(self.view.place(task), []).append(weak)
        elif wait.on is not None and not isinstance(wait.on, asyncio.Queue):
            self._lock(wait.on).waiters.append(weak)
            self._wanted[key] = id(wait.on)

    def add_owners(self) -> None:
        """For each task that waits for a lock with one owner, add a wait for that owner."""
        for key, wanted in self._wanted.items():
            lock = self.locks[wanted]
            owners = lock.owners + self._inside.get(wanted, [])
            owner = owners[0]() if len(owners) == 1 and _has_one_owner(lock.thing()) else None
            if owner is not None:
                self.awaits[key] = [id(owner)]

    def describe(self, cycle: list[int]) -> str:
        """``3 (a) waits for Lock 1, held by 4 (b); 4 (b) awaits 3 (a)``."""
        waits = []
        for key, after in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
            label, next_label = (task_table.labels([self._tasks[each]]) or "?" for each in (key, after))
            lock = self.locks[self._wanted[key]].thing() if key in self._wanted else None
            waits.append(
                f"{label} waits for {task_waits.name(lock)}, held by {next_label}"
                if lock is not None
                else f"{label} awaits {next_label}"
            )
        return "; ".join(waits)

    def numbers(self, cycle: list[int]) -> list[int]:
        """The console's numbers of the tasks in *cycle*."""
        return task_table.numbers_of(self._tasks[key] for key in cycle)

    def _lock(self, thing: Any) -> _Lock:
        return self.locks.setdefault(id(thing), _Lock(ref(thing)))


def _has_one_owner(thing: Any) -> bool:
    return isinstance(thing, asyncio.Lock) or sync_state.has_one_permit(thing)


def _row(lock: _Lock, tasks: TaskView) -> tuple[Any, ...]:
    thing = lock.thing()
    first = next((task for weak in (*lock.waiters, *lock.owners) if (task := weak()) is not None), None)
    return (
        task_waits.number(thing) if thing is not None else None,
        type(thing).__name__,
        _state(thing),
        task_table.labels(lock.owners[:NAMED]),
        len(lock.waiters),
        task_table.labels(lock.waiters[:NAMED]),
        tasks.place(first) if first is not None else None,
    )


def _state(thing: Any) -> str | None:
    if isinstance(thing, asyncio.Semaphore):
        return f"{sync_state.permits(thing)} free"
    if isinstance(thing, asyncio.Event):
        return "set" if thing.is_set() else "not set"
    if isinstance(thing, (asyncio.Lock, asyncio.Condition)):
        return "locked" if thing.locked() else "unlocked"
    return None


def _of_future(place: str, waiters: list[TaskRef]) -> tuple[Any, ...]:
    return None, "Future", "pending", None, len(waiters), task_table.labels(waiters[:NAMED]), place
