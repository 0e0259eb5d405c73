"""Reads what asyncio's queues, locks, events, conditions and semaphores keep in private attributes.

A subclass may lack any of these. Each function then returns an empty result.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

# How often it is tried to copy items that change meanwhile.
COPIES = 3


def waiters(thing: object) -> Sequence[Future[Any]]:
    """The futures of the tasks that wait for a lock, event, condition or semaphore."""
    return tuple(getattr(thing, "_waiters", None) or ())


def getters(queue: object) -> Sequence[Future[Any]]:
    """The futures of the tasks that wait for an item."""
    return tuple(getattr(queue, "_getters", ()))


def putters(queue: object) -> Sequence[Future[Any]]:
    """The futures of the tasks that wait for room."""
    return tuple(getattr(queue, "_putters", ()))


def parties(barrier: object) -> Sequence[Future[Any]]:
    """The futures of the tasks that wait until all parties are there."""
    return waiters(getattr(barrier, "_cond", None))


def joiners(queue: object) -> Sequence[Future[Any]]:
    """The futures of the tasks that wait until all items are done."""
    return waiters(getattr(queue, "_finished", None))


def size(queue: object) -> int:
    """The number of items; unlike `qsize`, a subclass cannot override it."""
    return len(getattr(queue, "_queue", ()))


def capacity(queue: object) -> int:
    """The most items that the queue holds; 0 for one without a limit."""
    return int(getattr(queue, "_maxsize", 0))


def unfinished(queue: object) -> int:
    """The number of items for which `task_done` was not called."""
    return int(getattr(queue, "_unfinished_tasks", 0))


def permits(semaphore: object) -> int:
    """The number of tasks that could acquire the semaphore now."""
    return int(getattr(semaphore, "_value", 0))


def has_one_permit(semaphore: object) -> bool:
    """Whether only one task at a time can hold a bounded semaphore."""
    return getattr(semaphore, "_bound_value", None) == 1


def lock_of(condition: object) -> object | None:
    """The lock that a task holds inside a condition."""
    return getattr(condition, "_lock", None)


def items(queue: object, most: int) -> list[Any]:
    """Some items of a queue, without taking them out."""
    for _ in range(COPIES):
        # Another thread may have its turn meanwhile.
        with suppress(RuntimeError):
            return list(islice(getattr(queue, "_queue", ()), most))
    return []
