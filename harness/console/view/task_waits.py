"""What a task waits for, seen from the task: its coroutines, the future they end in, and whose that is.

A coroutine that waits shows what it holds to the collector, so an object of asyncio's is found at the task
that waits for it, and nobody has to search the heap. `frame.f_locals` would tell names as well; until Python
3.12 it leaves a copy behind that keeps the target's objects alive.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from asyncio import Future, Task, TimerHandle
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType, MethodType
from typing import Any

from ...probe.tasks import coroutine, identity
from ...record.clock import monotonic
from ...record.observation import Frame
from ...stacks.ownership import CodeOwnership
from . import task_table
from .object_ids import ObjectIds

Lock = asyncio.Lock | asyncio.Semaphore | asyncio.Condition
LOCKS = (asyncio.Lock, asyncio.Semaphore, asyncio.Condition)

# The functions of asyncio's objects in which a task waits for them; `self` is the first such object that
# their coroutine holds.
_WAITS: dict[CodeType, type] = {
    function.__code__: kind
    for kind, functions in {
        asyncio.Queue: (asyncio.Queue.get, asyncio.Queue.put),
        asyncio.Lock: (asyncio.Lock.acquire,),
        asyncio.Semaphore: (asyncio.Semaphore.acquire,),
        asyncio.Event: (asyncio.Event.wait,),
        asyncio.Condition: (asyncio.Condition.wait,),
    }.items()
    for function in functions
}
# These wait by means of another one, which is theirs alone.
_WAITS_THROUGH: dict[CodeType, type] = {
    asyncio.Queue.join.__code__: asyncio.Queue,
    asyncio.Barrier.wait.__code__: asyncio.Barrier,
}
_DEEP = 4  # so many coroutines further out at most
_SLEEP = asyncio.sleep.__code__
# Where a task waits for the others of its group.
_GROUP = asyncio.TaskGroup.__aexit__.__code__

# Of more tasks that wait for one thing, nobody asks what each of them holds.
EVERYBODY = 200

_numbering: ObjectIds[Any] = ObjectIds()


@dataclass(frozen=True, slots=True)
class Wait:
    """What a task waits for."""

    what: str  # "Queue.get", "sleep", "task", "gather", "executor", "StreamReader.readline", "future"
    on: Any = field(default=None, repr=False)  # asyncio's object, or the task; `None` where that is not known
    left_s: float | None = None  # of a sleep

    def __str__(self) -> str:
        if self.left_s is not None:
            return f"sleep, {max(0, self.left_s):.1f} s left"
        if isinstance(self.on, Task):
            return f"task {task_table.number(self.on)}"
        if self.what == "gather":
            children = self.on._children
            return f"gather, {sum(not child.done() for child in children)} of {len(children)} left"
        return f"{self.what} of {name(self.on)}" if self.on is not None else self.what


def name(thing: object) -> str:
    """What the console calls a queue or a lock: ``Queue 3``."""
    return f"{type(thing).__name__} {_numbering.number(thing)}"


def number(thing: object) -> int:
    """The number in that name."""
    return _numbering.number(thing)


def of(task: Task[Any], territory: CodeOwnership | None = None) -> Wait | None:
    """What *task* waits for; `None` for one that does not.

    With a *territory*, what is none of asyncio's own objects is called after the library function that the
    program waits in.
    """
    future = getattr(task, "_fut_waiter", None)
    if future is None or future.done():
        return None
    if isinstance(future, Task):
        return Wait("task", future)
    if hasattr(future, "_children"):
        return Wait("gather", future)
    links = coroutine.links(task.get_coro())
    for link in reversed(links[-_DEEP:]):
        if kind := _WAITS_THROUGH.get(coroutine.code_of(link)):
            return Wait(coroutine.code_of(link).co_qualname, _first(kind, link))
    if links and (known := _of_asyncio(links)) is not None:
        return known
    if any(getattr(callback, "__name__", "") == "_call_check_cancel" for callback, _ in _callbacks(future)):
        return Wait("executor")
    return Wait(_function(links, territory) if territory else "future")


def awaited(task: Task[Any]) -> list[Task[Any]]:
    """The tasks that *task* waits for: directly, in a group, by gather, shield, wait or wait_for."""
    future = getattr(task, "_fut_waiter", None)
    if future is None:
        return []
    if isinstance(future, Task):
        return [future]
    candidates: list[Any] = [future]
    for link in coroutine.links(task.get_coro())[-2:]:
        for one in gc.get_referents(link):
            if type(one) in (set, list, tuple):  # `wait` has them in a set
                candidates += tuple(one)
            else:
                candidates += one._tasks if type(one) is asyncio.TaskGroup else (one,)
    found: dict[int, Any] = {}
    for one in candidates:
        if issubclass(type(one), Future) and id(one) not in found:
            found[id(one)] = one
            # What is gathered, or shielded.
            candidates += getattr(one, "_children", ())
            candidates += (
                inner for callback, _ in _callbacks(one) for inner in identity.futures_in(callback)
            )
    return [
        one
        for one in found.values()
        if issubclass(type(one), Task) and not one.done() and task in identity.waiters_of(one)
    ]


def held(task: Task[Any]) -> Iterator[Lock]:
    """The locks whose ``async with`` *task* is inside of.

    asyncio's locks know no owner. A coroutine inside of an ``async with`` has its exit ready, bound to the
    lock; one that still waits to enter has it as well. Not seen are a lock that was taken by `acquire`
    alone, and those of a task that runs at this moment.
    """
    for link in coroutine.links(task.get_coro()):
        for leaving in gc.get_referents(link):
            if type(leaving) is MethodType and leaving.__func__.__name__ == "__aexit__":
                thing: Any = leaving.__self__
                if issubclass(type(thing), LOCKS):
                    yield thing


class OrphanedWait:
    """Tells the tasks that wait for what nobody else refers to, so that nobody can ever end their wait.

    That is a future that only the task itself holds; or asyncio's object, and all who hold it wait for it.
    """

    def __init__(self) -> None:
        self._things: dict[int, bool] = {}  # asked for each of a crowd of waiters, it is answered once

    def __call__(self, task: Task[Any]) -> bool:
        future = getattr(task, "_fut_waiter", None)
        if future is None or future.done() or type(future) is not Future:
            return False
        links = coroutine.links(task.get_coro())
        wait = _of_asyncio(links) if links else None
        thing = wait.on if wait is not None else None
        # asyncio's object has the future in its queue of waiters: one reference more.
        if _strangers(future, [task, *links, *_end(links)]) > (thing is not None):
            return False
        if thing is not None:
            del wait  # it refers to the thing
            if id(thing) not in self._things:
                self._things[id(thing)] = _is_forsaken(thing)
            if not self._things[id(thing)]:
                return False
        # The loop has gone on meanwhile, perhaps, and let go of what was counted.
        return task._fut_waiter is future and not future.done()  # type: ignore[attr-defined]


def _is_forsaken(thing: Any) -> bool:
    waiters = (*getattr(thing, "_getters", ()), *getattr(thing, "_putters", ()), *_waiters(thing))
    if len(waiters) > EVERYBODY:
        return False
    everybody = [task for waiter in waiters for task in identity.waiters_of(waiter)]
    # The caller knows it by a name as well.
    return _strangers(thing, [link for task in everybody for link in coroutine.links(task.get_coro())]) == 1


def has_timeout(task: Task[Any]) -> bool:
    """Whether it waits inside of ``asyncio.timeout`` or `wait_for`, which will cancel it."""
    for link in coroutine.links(task.get_coro()):
        for one in gc.get_referents(link):
            if type(one) is MethodType and type(one.__self__) is asyncio.Timeout:
                return True
    # Until Python 3.11 `wait_for` lets another task wait.
    return any(getattr(callback, "args", ()) for callback, _ in _callbacks(task))


def _strangers(thing: object, known: list[Any]) -> int:
    """How many references to *thing* there are that are not from *known*, nor from who asks."""
    held = [one for holder in known for one in gc.get_referents(holder)]
    mine = sum(one is thing for one in held)
    bound = sum(type(one) is MethodType and one.__self__ is thing for one in held)
    # The list above holds it as often as they do; the name here, the caller's, and the call's argument.
    return sys.getrefcount(thing) - 2 * mine - bound - 3


def _end(links: list[Any]) -> list[object]:
    """The awaitable in which the chain of coroutines ends."""
    end = getattr(links[-1], "cr_await", None) if links else None
    return [end] if end is not None else []


def _waiters(thing: Any) -> tuple[Future[Any], ...]:
    return tuple(getattr(thing, "_waiters", None) or ())


def _of_asyncio(links: list[Any]) -> Wait | None:
    """The wait for one of asyncio's own objects, or a sleep."""
    code = coroutine.code_of(links[-1])
    if code is _SLEEP:
        timer = _first(TimerHandle, links[-1])
        return Wait("sleep", left_s=timer.when() - monotonic() if timer is not None else None)
    if code is _GROUP:
        return Wait("TaskGroup")
    kind = _WAITS.get(code)
    return Wait(code.co_qualname, _first(kind, links[-1])) if kind is not None else None


def _first(kind: type, link: object) -> Any:
    # Not `isinstance`: an object of the target may lie about its class, or fail to tell it.
    return next((held for held in gc.get_referents(link) if issubclass(type(held), kind)), None)


def _function(links: list[Any], territory: CodeOwnership) -> str:
    """The library function in which the program's own code waits."""
    names = []
    for link in reversed(links):
        code = coroutine.code_of(link)
        if territory.is_application(Frame(code.co_filename, 0, "")):
            break
        names.append(code.co_qualname)
    return names[-1] if names else "future"


def _callbacks(future: Future[Any]) -> list[tuple[Any, Any]]:
    return list(getattr(future, "_callbacks", None) or ())
