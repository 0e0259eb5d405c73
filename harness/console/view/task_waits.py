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
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType, MethodType
from typing import Any

from ...probe.hooks.state import executor_state, sync_state, task_state
from ...probe.tasks import coroutine, identity
from ...record.clock import monotonic
from ...record.observation import Frame
from ...stacks.ownership import CodeOwnership
from . import task_table
from .object_ids import ObjectIds

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
_SLEEP = asyncio.sleep.__code__
# Where a task waits for the others of its group.
_GROUP = asyncio.TaskGroup.__aexit__.__code__

# With more tasks waiting for one object, the references that they hold are not searched.
WAITERS = 200

_ids: ObjectIds[Any] = ObjectIds()


@dataclass(frozen=True, slots=True)
class Wait:
    """What a task waits for."""

    what: str  # "Queue.get", "sleep", "task", "gather", "executor", "StreamReader.readline", "future"
    on: Any = field(default=None, repr=False)  # asyncio's object, or the task; `None` if it is not known
    left_s: float | None = None  # of a sleep

    def __str__(self) -> str:
        if self.left_s is not None:
            return f"sleep, {max(0, self.left_s):.1f} s left"
        if isinstance(self.on, Task):
            return f"task {task_table.number(self.on)}"
        if self.what == "gather":
            children = task_state.gathered(self.on) or ()
            return f"gather, {sum(not child.done() for child in children)} of {len(children)} left"
        return f"{self.what} of {name(self.on)}" if self.on is not None else self.what


def name(thing: object) -> str:
    """The console's name for a queue, a lock or an executor: ``Queue 3``."""
    return f"{type(thing).__name__} {_ids.number(thing)}"


def number(thing: object) -> int:
    """The number in that name."""
    return _ids.number(thing)


def of(task: Task[Any], ownership: CodeOwnership | None = None) -> Wait | None:
    """What *task* waits for; `None` if it does not wait.

    With *ownership*, a wait for anything but asyncio's own objects is named after the library function that
    the program waits in.
    """
    future = task_state.awaited_future(task)
    if future is None or future.done():
        return None
    if isinstance(future, Task):
        return Wait("task", future)
    if task_state.gathered(future) is not None:
        return Wait("gather", future)
    links = coroutine.links(task.get_coro())
    for link in reversed(links[-_THROUGH:]):
        if kind := _WAITS_THROUGH.get(coroutine.code_of(link)):
            return Wait(coroutine.code_of(link).co_qualname, _first(kind, link))
    if links and (known := _of_asyncio(links)) is not None:
        return known
    if any(map(executor_state.chains_to_thread, task_state.callbacks(future))):
        return Wait("executor")
    return Wait(_function(links, ownership) if ownership else "future")


def awaited(task: Task[Any]) -> list[Task[Any]]:
    """The tasks that *task* waits for: directly, in a group, by gather, shield, wait or wait_for."""
    if (future := task_state.awaited_future(task)) is None:
        return []
    if isinstance(future, Task):
        return [future]
    candidates: list[Any] = [future]
    for link in coroutine.links(task.get_coro())[-2:]:
        for held in gc.get_referents(link):
            if type(held) in (set, list, tuple):  # `wait` has them in a set
                candidates += tuple(held)
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
        if issubclass(type(other), Task) and not other.done() and task in identity.waiters_of(other)
    ]


def held(task: Task[Any]) -> Iterator[Lock]:
    """The locks whose ``async with`` *task* is inside of.

    asyncio's locks know no owner, but a coroutine inside an ``async with`` refers to its exit method, which
    is bound to the lock; so does one that still waits to enter. Not found are a lock that was taken by
    `acquire` alone, and the locks of a running task.
    """
    for link in coroutine.links(task.get_coro()):
        for leaving in gc.get_referents(link):
            if type(leaving) is MethodType and leaving.__func__.__name__ == "__aexit__":
                thing: Any = leaving.__self__
                if issubclass(type(thing), LOCKS):
                    yield thing


class OrphanedWait:
    """Finds tasks whose wait cannot end: nothing else refers to what they wait for.

    They wait for a future that only the task itself refers to, or for an object of asyncio's to which only
    its waiters refer.
    """

    def __init__(self) -> None:
        self._things: dict[int, bool] = {}  # one result for all waiters of an object

    def __call__(self, task: Task[Any]) -> bool:
        future = task_state.awaited_future(task)
        if future is None or future.done() or type(future) is not Future:
            return False
        links = coroutine.links(task.get_coro())
        wait = _of_asyncio(links) if links else None
        thing = wait.on if wait is not None else None
        # asyncio's object has the future in its queue of waiters: one reference more.
        if _foreign_references(future, [task, *links, *_end(links)]) > (thing is not None):
            return False
        if thing is not None:
            del wait  # it refers to the thing
            if id(thing) not in self._things:
                self._things[id(thing)] = _is_orphaned(thing)
            if not self._things[id(thing)]:
                return False
        # The loop may have gone on since, and dropped references that were counted.
        return task_state.awaited_future(task) is future and not future.done()


def _is_orphaned(thing: Any) -> bool:
    futures = (*sync_state.getters(thing), *sync_state.putters(thing), *sync_state.waiters(thing))
    if len(futures) > WAITERS:
        return False
    tasks = [task for future in futures for task in identity.waiters_of(future)]
    links = [link for task in tasks for link in coroutine.links(task.get_coro())]
    return _foreign_references(thing, links) == 1  # the caller's


def has_timeout(task: Task[Any]) -> bool:
    """Whether *task* waits inside ``asyncio.timeout`` or `wait_for`, which will cancel it."""
    for link in coroutine.links(task.get_coro()):
        for held in gc.get_referents(link):
            if type(held) is MethodType and type(held.__self__) is asyncio.Timeout:
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
    # Not `isinstance`: the `__class__` of a foreign object may be wrong, or raise.
    return next((held for held in gc.get_referents(link) if issubclass(type(held), kind)), None)


def _function(links: list[Any], ownership: CodeOwnership) -> str:
    """The library function in which the program's own code waits."""
    names = []
    for link in reversed(links):
        code = coroutine.code_of(link)
        if ownership.is_application(Frame(code.co_filename, 0, "")):
            break
        names.append(code.co_qualname)
    return names[-1] if names else "future"
