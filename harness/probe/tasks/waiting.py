"""Finds what a task waits for: from its coroutines, the future that they end in, and the future's owner.

The collector shows what a waiting coroutine refers to, so asyncio's objects are found at the tasks that wait
for them, without searching the heap. `frame.f_locals` would also give names, but until Python 3.12 it leaves
a copy behind that keeps the program's objects alive.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from asyncio import Future, Task, TimerHandle
from collections.abc import Collection, Iterable, Iterator
from types import AsyncGeneratorType, CellType, CodeType, FunctionType, MethodType
from typing import Any

from ...record.clock import monotonic
from ...record.value import Row
from ..hooks.state import reference_state, sync_state, task_state
from . import coroutine, identity

Lock = asyncio.Lock | asyncio.Semaphore | asyncio.Condition
LOCKS = (asyncio.Lock, asyncio.Semaphore, asyncio.Condition)

# The functions of asyncio's objects in which a task waits for them; `self` is the first such object that
# their coroutine refers to.
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
# These wait by means of another such object, which is private to them.
_WAITS_THROUGH: dict[CodeType, type] = {
    asyncio.Queue.join.__code__: asyncio.Queue,
    asyncio.Barrier.wait.__code__: asyncio.Barrier,
}
_THROUGH = 4  # at most this many coroutines further out
SLEEP = asyncio.sleep.__code__
_CONDITION = asyncio.Condition.wait.__code__
# Where a task waits for the others of its group.
_GROUP = asyncio.TaskGroup.__aexit__.__code__

# With more tasks waiting for one object, the references that they hold are not searched.
WAITERS = 200
_NESTED = 3  # generators inside of each other that `held` looks into


class Awaited(Row):
    """What of asyncio's a task waits for."""

    what: str  # "Queue.get", "sleep", "Lock.acquire"
    on: Any = None  # the object; `None` if it is not known
    left_s: float | None = None  # of a sleep


def on_asyncio(links: list[Any]) -> Awaited | None:
    """The wait for one of asyncio's own objects in which a chain of coroutines ends, or a sleep."""
    for link in reversed(links[-_THROUGH:]):
        if kind := _WAITS_THROUGH.get(coroutine.code_of(link)):
            return Awaited(coroutine.code_of(link).co_qualname, _first(kind, link))
    return _of_asyncio(links) if links else None


def awaited(task: Task[Any]) -> list[Task[Any]]:
    """The tasks that *task* waits for: directly, in a group, by gather, shield, wait or wait_for."""
    if (future := task_state.awaited_future(task)) is None:
        return []
    if isinstance(future, Task):
        return [future]
    candidates: list[Any] = [future]
    for link in coroutine.links(task_state.work_of(task))[-2:]:
        for held in gc.get_referents(link):
            if type(held) in (set, list, tuple):  # `wait` has them in a set
                candidates += tuple(held) if _is_of_futures(held) else ()
            else:
                candidates += task_state.tasks_of_group(held) if type(held) is asyncio.TaskGroup else (held,)
    found: dict[int, Any] = {}
    for candidate in candidates:
        if issubclass(type(candidate), Future) and id(candidate) not in found:
            found[id(candidate)] = candidate
            # What is gathered, or shielded.
            candidates += task_state.gathered(candidate) or ()
            for callback in task_state.callbacks(candidate):
                candidates += task_state.futures_in(callback)
    return [
        other
        for other in found.values()
        if issubclass(type(other), Task)
        and not task_state.is_done(other)
        and task in identity.waiters_of(other)
    ]


def _is_of_futures(collection: Collection[Any]) -> bool:
    # The program's own data may be large.
    return any(issubclass(type(item), Future) for item in reference_state.held_by(collection, 1))


def held(task: Task[Any]) -> Iterator[Lock]:
    """The locks whose ``async with`` *task* is inside of.

    asyncio's locks know no owner, but a coroutine inside an ``async with`` refers to its exit method and the
    lock. Not held are one that the task still waits to enter, and one that `Condition.wait` has released for
    now. Not found are a lock that was taken by `acquire` alone, and the locks of a running task.
    """
    links = coroutine.links(task_state.work_of(task))
    released: list[Any] = []
    for link in links:
        if coroutine.code_of(link) is _CONDITION and (condition := _first(asyncio.Condition, link)):
            released += (condition, sync_state.lock_of(condition))
    for link, after in zip(links, [*links[1:], None], strict=True):
        things = list(_entered(link))
        if after is not None and coroutine.code_of(after).co_name == "__aenter__":
            del things[-1:]  # the innermost, which the task waits to enter
        for thing in _within(things):
            if not any(thing is one for one in released):
                yield thing


def _within(things: Iterable[Any], depth: int = 0) -> Iterator[Lock]:
    """The locks among *things*, and those that context managers made of generators are inside of."""
    for thing in things:
        if issubclass(type(thing), LOCKS):
            yield thing
        elif depth < _NESTED:
            for part in attributes(thing):
                if type(part) is AsyncGeneratorType:
                    yield from _within(_entered(part), depth + 1)


def attributes(thing: object) -> Iterator[Any]:
    """What the attributes of an object refer to, and what else the collector finds in it.

    Of a coroutine or a frame also the variables that it shares with the functions inside of it. A large
    dictionary stands for itself.
    """
    for part in reference_state.held_by(thing):
        if type(part) is dict and not reference_state.is_large(part):
            yield from list(part.values())
        elif type(part) is CellType:
            yield from reference_state.held_by(part)
        else:
            yield part


def _entered(link: object) -> Iterator[Any]:
    """The objects whose ``async with`` a coroutine is inside of, or waits to enter, outermost first."""
    referents = gc.get_referents(link)
    for held, after in zip(referents, [*referents[1:], None], strict=True):
        if type(held) is MethodType and held.__func__.__name__ == "__aexit__":
            yield held.__self__
        elif type(held) is FunctionType and _is_exit_of(held, after):
            yield after  # since Python 3.14, the object is held after the function


def _is_exit_of(function: FunctionType, thing: object) -> bool:
    return any(vars(kind).get("__aexit__") is function for kind in type(thing).__mro__)


class OrphanedWait:
    """Finds tasks whose wait cannot end: nothing else refers to what they wait for.

    They wait for a future that only the task itself refers to, or for an object of asyncio's to which only
    its waiters refer.
    """

    def __init__(self) -> None:
        self._things: dict[int, bool] = {}  # one result for all waiters of an object

    def __call__(self, task: Task[Any]) -> bool:
        future = task_state.awaited_future(task)
        if future is None or task_state.is_done(future) or type(future) is not Future:
            return False
        links = coroutine.links(task_state.work_of(task))
        wait = _of_asyncio(links) if links else None
        thing = wait.on if wait is not None else None
        # asyncio's object has the future in its queue of waiters: one reference more.
        if _foreign_references(future, [task, *links, *_end(links)]) > (thing is not None):
            return False
        if thing is not None:
            del wait  # it refers to the thing
            if id(thing) not in self._things:
                self._things[id(thing)] = _is_orphaned([thing])
            if not self._things[id(thing)]:
                return False
        # The loop may have gone on since, and dropped references that were counted.
        return task_state.awaited_future(task) is future and not task_state.is_done(future)


def _is_orphaned(one: list[Any]) -> bool:
    """Whether only its waiters refer to the single thing of a list, and the caller.

    In a list, because a Python that lends references to parameters does not count them.
    """
    thing = one[0]
    futures = (*sync_state.getters(thing), *sync_state.putters(thing), *sync_state.waiters(thing))
    if len(futures) > WAITERS:
        return False
    tasks = [task for future in futures for task in identity.waiters_of(future)]
    links = [link for task in tasks for link in coroutine.links(task_state.work_of(task))]
    return _foreign_references(thing, links) == 2  # the caller's, and the list's


def has_timeout(task: Task[Any]) -> bool:
    """Whether *task* waits inside ``asyncio.timeout`` or `wait_for`, which will cancel it."""
    for link in coroutine.links(task_state.work_of(task)):
        if any(type(thing) is asyncio.Timeout for thing in _entered(link)):
            return True
    # Until Python 3.11, `wait_for` waits for another task.
    return any(getattr(callback, "args", ()) for callback in task_state.callbacks(task))


def _foreign_references(thing: object, known: list[Any]) -> int:
    """The number of references to *thing* from elsewhere than *known* and the caller's own variable."""
    held = [one for holder in known for one in gc.get_referents(holder)]
    mine = sum(one is thing for one in held)
    bound = sum(type(one) is MethodType and one.__self__ is thing for one in held)
    # `held` refers to it as often as *known* does; then the name here, the caller's, and the call's argument.
    return sys.getrefcount(thing) - 2 * mine - bound - 3


def _end(links: list[Any]) -> list[object]:
    """The awaitable in which the chain of coroutines ends."""
    end = getattr(links[-1], "cr_await", None) if links else None
    return [end] if end is not None else []


def _of_asyncio(links: list[Any]) -> Awaited | None:
    """The wait for one of asyncio's own objects, or a sleep."""
    code = coroutine.code_of(links[-1])
    if code is SLEEP:
        timer = _first(TimerHandle, links[-1])
        return Awaited("sleep", None, timer.when() - monotonic() if timer is not None else None)
    if code is _GROUP:
        return Awaited("TaskGroup")
    kind = _WAITS.get(code)
    return Awaited(code.co_qualname, _first(kind, links[-1])) if kind is not None else None


def _first(kind: type, link: object) -> Any:
    # Not `isinstance`: the `__class__` of a foreign object may be wrong, or raise.
    return next((held for held in gc.get_referents(link) if issubclass(type(held), kind)), None)
