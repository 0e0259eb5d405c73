"""Finds who is inside of locks and semaphores, and why they do not come out."""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ...record.process import collection
from ..hooks.state import loop_state, reference_state, sync_state, task_state
from ..hooks.state.task_state import TaskRef
from . import circle, coroutine, waiting
from .coroutine import Place

# Tasks that are searched, in parts: a part takes a quarter of a millisecond, then other threads run.
SEARCHED, AT_ONCE = 3_000, 25
PAUSE_S = 0.0002
# Tasks that are followed from one to the next.
FOLLOWED = 500
# Waiters whose own locks are asked for.
ASKED = 20
# Timers of a loop, and objects near a sleeping task, that are searched for what they may release.
TIMERS, OBJECTS, NEAR = 2_000, 2_000, 3
# None of these leads to what a task uses.
_FAR = (ModuleType, FunctionType, CodeType, type, str, bytes, int, float)

_RELEASES = ("release", "fill", "replenish", "reset", "leak", "drip", "tick")

# A task waits for what it has itself; tasks wait for each other; no task that lives has it.
ITSELF, CIRCLE, GONE = "itself", "circle", "gone"


class Holders:
    """The tasks that are inside of each lock, as one search found them."""

    def __init__(self, places: Mapping[Place, set[TaskRef]]) -> None:
        self._inside: dict[int, list[TaskRef]] = {}
        self.tasks = list(islice(chain.from_iterable(places.values()), SEARCHED))
        self.are_all = len(self.tasks) < SEARCHED
        for start in range(0, len(self.tasks), AT_ONCE):
            if start:
                collection.sleep(PAUSE_S)
            for weak in self.tasks[start : start + AT_ONCE]:
                self._search(weak)

    def of(self, thing: object) -> list[Task[Any]]:
        """The tasks inside of *thing* that still exist."""
        return [task for weak in self._inside.get(id(thing), ()) if (task := weak()) is not None]

    def _search(self, weak: TaskRef) -> None:
        if (task := weak()) is None:
            return
        for held in waiting.held(task):
            for thing in (held, sync_state.lock_of(held)):
                inside = self._inside.setdefault(id(thing), []) if thing is not None else [weak]
                if weak not in inside:
                    inside.append(weak)


def cause_of(waiters: Iterator[Task[Any]], thing: Any, holders: Holders, told: set[int]) -> str:
    """Why *thing* will never be free; "" if it may be.

    *told* has the tasks of circles that were found before; each circle is told once.
    """
    if not holders.are_all:
        return ""
    inside, asked = holders.of(thing), list(islice(waiters, ASKED))
    if len(inside) == 1 and _has_one_owner(thing):
        if any(task is inside[0] for task in asked):
            return ITSELF
        if members := _circle(inside[0], holders):
            # The crowd of another lock of the same circle is no trouble of its own.
            if not told.isdisjoint(map(id, members)):
                return ""
            told.update(map(id, members))
            return CIRCLE
        return ""
    return GONE if asked and not inside and _is_gone(thing, asked, holders) else ""


def _circle(owner: Task[Any], holders: Holders) -> list[Task[Any]]:
    """The tasks that wait for each other, *owner* among them; empty if there is no such circle."""
    tasks, awaits = {id(owner): owner}, dict[int, list[int]]()
    futures: dict[int, Any] = {}
    for task in (left := [owner]):
        futures[id(task)] = task_state.awaited_future(task)
        needed = _needed(task, holders)
        awaits[id(task)] = list(map(id, needed))
        for other in needed:
            if id(other) not in tasks and len(tasks) < FOLLOWED:
                tasks[id(other)] = other
                left.append(other)
    for found in circle.cycles(awaits):
        # Each waits as it did when it was looked at, so all of them wait at the same time.
        if id(owner) in found and all(
            futures[key] is not None
            and not task_state.is_done(futures[key])
            and task_state.awaited_future(tasks[key]) is futures[key]
            for key in found
        ):
            return [tasks[key] for key in found]
    return []


def _needed(task: Task[Any], holders: Holders) -> list[Task[Any]]:
    """The tasks without all of which *task* cannot go on."""
    future = task_state.awaited_future(task)
    if future is None or task_state.is_done(future):
        return []
    if isinstance(future, Task):
        return [future]
    links = coroutine.links(task_state.work_of(task))
    known = waiting.on_asyncio(links)
    if known is not None and known.what in ("Lock.acquire", "Semaphore.acquire"):
        inside = holders.of(known.on)
        return inside if len(inside) == 1 and _has_one_owner(known.on) else []
    if (known is not None and known.what == "TaskGroup") or task_state.gathered(future) is not None:
        return waiting.awaited(task)
    return []


def _has_one_owner(thing: Any) -> bool:
    return isinstance(thing, asyncio.Lock) or sync_state.has_one_permit(thing)


def _is_gone(thing: Any, waiters: list[Task[Any]], holders: Holders) -> bool:
    """Whether no task that lives can have taken *thing* by `acquire` alone, and no timer may free it."""
    theirs = set(chain.from_iterable(map(codes_of, waiters)))
    at_thing = {id(future) for future in sync_state.waiters(thing)}
    loop = waiters[0].get_loop()
    for timer in islice(list(loop_state.timers(loop)), TIMERS):
        if concerns(timer, thing):
            return False
    for task in filter(None, (weak() for weak in holders.tasks)):
        future = task_state.awaited_future(task)
        if future is None or id(future) not in at_thing:
            if any(code in theirs or _may_acquire(code) for code in codes_of(task)):
                return False
            if _refills(task, thing):
                return False
    return True


def is_timed(thing: Any, loop: Any, holders: Holders) -> bool:
    """Whether a timer, or a task that sleeps, may free *thing*: one that is inside, or a limiter's refill."""
    if any(concerns(timer, thing) for timer in islice(list(loop_state.timers(loop)), TIMERS)):
        return True
    if any(map(_sleeps, holders.of(thing))):
        return True
    return any(_refills(task, thing) for task in filter(None, (weak() for weak in holders.tasks)))


def codes_of(task: Task[Any]) -> list[CodeType]:
    """The code of the functions that *task* is in, without asyncio's."""
    codes = [coroutine.code_of(link) for link in coroutine.links(task_state.work_of(task))]
    return [
        code for code in codes if not code.co_filename.endswith(("asyncio/locks.py", "asyncio/mixins.py"))
    ]


def _may_acquire(code: CodeType) -> bool:
    return any("acquire" in name for name in code.co_names)


def _refills(task: Task[Any], thing: object) -> bool:
    """Whether *task* sleeps, and releases something like *thing* when it wakes up."""
    names = {name for code in codes_of(task) for name in code.co_names} if _sleeps(task) else set()
    return any(part in name for name in names for part in _RELEASES) and is_near(task, thing)


def _sleeps(task: Task[Any]) -> bool:
    links = coroutine.links(task_state.work_of(task))
    return bool(links) and coroutine.code_of(links[-1]) is waiting.SLEEP


def concerns(timer: object, thing: object) -> bool:
    """Whether the callback of a timer is a method of *thing*, or has it."""
    callback = loop_state.callback(timer)
    if getattr(callback, "__self__", None) is thing:
        return True
    cells = getattr(callback, "__closure__", None) or ()
    held = [one for cell in cells for one in waiting.attributes(cell)]
    held += (getattr(callback, "__self__", None), *loop_state.arguments(timer))
    return any(
        one is thing
        or reference_state.is_large(one)
        or any(part is thing or reference_state.is_large(part) for part in waiting.attributes(one))
        for one in held
    )


def is_near(task: Task[Any], thing: object) -> bool:
    """Whether the functions of *task* refer to *thing*, or to an object that does, or may do so.

    A large collection is not searched: *thing* may be in it.
    """
    return any(part is thing or reference_state.is_large(part) for part in near(task))


def near(task: Task[Any]) -> Iterator[Any]:
    """What the functions of *task* refer to, what these objects do, and so on."""
    frontier: list[Any] = list(coroutine.links(task_state.work_of(task)))
    seen: set[int] = set()
    for _ in range(NEAR):
        found = [part for one in frontier for part in waiting.attributes(one)]
        yield from found
        frontier = []
        for part in found:
            if id(part) not in seen and not issubclass(type(part), _FAR) and len(seen) < OBJECTS:
                seen.add(id(part))
                frontier.append(part)
