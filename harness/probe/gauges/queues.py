"""Finds asyncio's queues where the program keeps them, without searching the heap.

These are the variables of suspended tasks, the attributes of the objects there, the global names of their
modules, and the attributes of protocols. The collector shows what an object refers to, so nothing of the
program runs, and no attribute is looked up.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Iterable, Sequence
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ref

from ...record.process import collection
from ..hooks.state import reference_state, sync_state, task_state, transport_state
from ..hooks.state.task_state import TaskRef
from ..tasks import coroutine

# With more tasks, other ones are searched each time. After some of them other threads have their turn.
TASKS, AT_ONCE, PAUSE_S = 300, 50, 0.0002
# The global names are searched only in one of so many looks.
GLOBALS_EVERY = 4
PROTOCOLS = 200
# Objects that refer to more are data, and no owners of queues.
REFERENTS = 200
# Further names of a module are not searched.
NAMES = 2_000
# Items from which the size of all is estimated, and the parts of each that are counted.
SIZED, PARTS = 10, 50
# Where the size of an object may be asked only of its own class, which may be the program's.
UNKNOWN_BYTES = 64

_NO_OWNERS = (type, ModuleType, FunctionType, MethodType, asyncio.Future, str, bytes, int, list, tuple, set)


_COLLECTIONS = (dict, list, set, deque, tuple)


class QueueSearch:
    """Searches a part of the program each time, for queues without a limit."""

    def __init__(self) -> None:
        self._start = 0
        self._looks = 0

    def found(self, tasks: list[TaskRef], loops: Iterable[AbstractEventLoop]) -> list[Any]:
        """Those that are found now, each once."""
        with_globals, self._looks = self._looks % GLOBALS_EVERY == 0, self._looks + 1
        found = _HeldQueues(with_globals=with_globals)
        found.search(self._some(tasks), loops)
        return [queue for queue in found.queues() if sync_state.capacity(queue) <= 0]

    def _some(self, tasks: list[TaskRef]) -> list[TaskRef]:
        if len(tasks) <= TASKS:
            return tasks
        self._start = (self._start + TASKS) % len(tasks)
        return (tasks + tasks[:TASKS])[self._start : self._start + TASKS]


def every_queue(tasks: list[TaskRef], loops: Iterable[AbstractEventLoop]) -> list[ref[Any]]:
    """All queues of the program that can be found, with a limit or without, each once."""
    found = _HeldQueues(with_globals=True)
    found.search(tasks, loops)
    return [ref(queue) for queue in found.queues()]


class _HeldQueues:
    """What one search finds."""

    def __init__(self, *, with_globals: bool) -> None:
        self._with_globals = with_globals
        self._seen: set[int] = set()
        # Weakly: during the pauses of the search, the program may drop one.
        self._queues: dict[int, ref[Any]] = {}

    def queues(self) -> list[Any]:
        return [queue for known in self._queues.values() if (queue := known()) is not None]

    def search(self, tasks: list[TaskRef], loops: Iterable[AbstractEventLoop]) -> None:
        for number, register in enumerate(tasks, start=1):
            if number % AT_ONCE == 0:
                collection.sleep(PAUSE_S)
            self._of_task(register)
        for loop in loops:
            for protocol in transport_state.protocols(loop, PROTOCOLS):
                self._of_owner(protocol)

    def _of_task(self, register: TaskRef) -> None:
        """In a function of its own, so that no task is referred to during a pause."""
        if (task := register()) is not None and not task_state.is_done(task):
            self._of_work(task_state.work_of(task))

    def _of_work(self, work: Any) -> None:
        if getattr(work, "cr_running", False):
            return
        for link in coroutine.links(work):
            for held in reference_state.held_by(link, REFERENTS):
                # A variable that functions inside of this one use, too, is in a cell.
                for owner in reference_state.held_by(held) if type(held) is CellType else (held,):
                    self._of_owner(owner)
            frame = coroutine.frame_of(link) if self._with_globals else None
            if frame is not None and id(frame.f_globals) not in self._seen:
                self._seen.add(id(frame.f_globals))
                if len(frame.f_globals) <= NAMES:
                    for held in list(frame.f_globals.values()):
                        self._of_owner(held)

    def _of_owner(self, owner: Any) -> None:
        """Look at *owner* itself, and at its attributes."""
        if id(owner) in self._seen or issubclass(type(owner), _NO_OWNERS):
            return
        self._seen.add(id(owner))
        if self._take(owner):
            return
        held = reference_state.held_by(owner, REFERENTS + 1)
        if len(held) > REFERENTS:
            return
        for part in held:
            # An object whose attributes are in a dictionary of their own, or a collection of queues.
            if not self._take(part) and type(part) in _COLLECTIONS:
                self._of_collection(part)
                if type(part) is dict and len(part) <= REFERENTS:
                    for value in list(part.values()):
                        if type(value) in _COLLECTIONS:
                            self._of_collection(value)

    def _of_collection(self, collection: Any) -> None:
        # Subscribers may be many, and each has a queue: the first ones stand for them.
        for value in reference_state.held_by(collection, REFERENTS):
            self._take(value)

    def _take(self, thing: Any) -> bool:
        if not issubclass(type(thing), asyncio.Queue):
            return False
        self._queues.setdefault(id(thing), ref(thing))
        return True


def size_bytes(queue: Any) -> int:
    """The memory of the items, estimated from some of them."""
    return estimated_bytes(sync_state.items(queue, SIZED), sync_state.size(queue))


def estimated_bytes(some: Sequence[object], count: int) -> int:
    """The memory of *count* objects of which these are *some*."""
    total = sum(_size(item) + sum(map(_size, reference_state.held_by(item, PARTS))) for item in some)
    return total * count // max(1, len(some))


def _size(thing: object) -> int:
    kind = type(thing)
    if kind in (type, ModuleType, FunctionType):
        return 0  # shared by all items
    return sys.getsizeof(thing) if kind.__module__ == "builtins" else UNKNOWN_BYTES
