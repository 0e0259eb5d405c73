"""Finds tasks that ended with an exception nobody has looked at, although something still refers to them.

asyncio reports such an exception only when the last reference goes, which may be never. The traceback keeps
the frames of the task, and these lead to the queues that it served: one that fills with nobody who gets from
it waits for the dead, and so do the other parties of a barrier.
"""

from __future__ import annotations

import asyncio
import os
from asyncio import Task
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from types import CoroutineType, TracebackType
from typing import Any
from weakref import ref

from ...record.observation import Frame, Observation, TaskDied
from ...record.value import replace
from ..hooks.state import reference_state, sync_state, task_state
from ..hooks.state.task_state import TaskRef
from . import coroutine, identity, waiting
from .coroutine import Place
from .queue_standstill import may_be_served

# More deaths than this are not followed, nor more queues of each.
DEAD, QUEUES = 100, 8
# An exception may be looked at a little later.
LATE_NS = 500_000_000
# The share by which the time since a death, or a queue, grows between two events.
GROWTH = 0.1
# Frames of a traceback, objects near them, and tasks that are searched.
FRAMES, OBJECTS, TASKS, ITEMS = 40, 2_000, 500, 1_000
ERROR_CHARS = 200
_CONTAINERS: tuple[type, ...] = (list, set, frozenset, tuple, dict, deque)
# What leads to other tasks, or to all of them.
_ELSEWHERE = (BaseException, asyncio.Future, asyncio.AbstractEventLoop)
# What a function uses that looks at tasks from time to time.
_LOOKS = frozenset(("done", "exception", "result"))
_PLAIN = (str, bytes, int, float, bool, type(None), type)


class _Dead:
    """A task that died, and the queues near it."""

    __slots__ = (
        "at_ns",
        "barriers",
        "fed_ns",
        "keeper",
        "last",
        "least",
        "number",
        "queues",
        "served",
        "written",
        "written_ns",
    )

    def __init__(self, at_ns: int, number: int, near: list[ref[Any]]) -> None:
        self.at_ns, self.number = at_ns, number
        self.barriers = [weak for weak in near if isinstance(weak(), asyncio.Barrier)]
        self.queues = queues = [weak for weak in near if weak not in self.barriers]
        self.least = [_size(queue) for queue in queues]  # the size of each at the last look
        self.fed_ns = [0] * len(queues)  # when each was first found longer than it was at the death
        self.served = [False] * len(queues)  # someone else gets from it
        self.keeper: str | None = None
        self.last: TaskDied | None = None  # in the record
        self.written: tuple[object, ...] = ()
        self.written_ns = 0


class Deaths:
    """The deaths in this process."""

    def __init__(self, write: Callable[[Observation], object]) -> None:
        self._write = write
        self._dead: dict[TaskRef, _Dead] = {}
        self._numbers = 0

    def look(
        self, at_ns: int, found: Iterable[TaskRef], places: Mapping[Place, set[TaskRef]], *, is_last: bool
    ) -> None:
        """Look at the tasks that were found dead now, and at those of earlier looks."""
        for weak in found:
            if weak not in self._dead and len(self._dead) < DEAD and (task := weak()) is not None:
                near = [ref(thing) for thing in islice(_near(task_state.exception(task)), QUEUES)]
                self._dead[weak] = _Dead(at_ns, self._numbers, near)
                self._numbers += 1
        self.settle(at_ns)
        for weak, dead in list(self._dead.items()):
            if (task := weak()) is None:
                continue
            fed = _fed(at_ns, dead, places)
            if at_ns - dead.at_ns < LATE_NS and not is_last:
                continue
            if dead.keeper is None:
                dead.keeper = _keeper(task, chain.from_iterable(places.values()))
            party = _party(task, dead)
            state = (dead.keeper, fed is not None, party is not None)
            if state == dead.written and at_ns - dead.at_ns < (dead.written_ns - dead.at_ns) * (1 + GROWTH):
                continue
            dead.written, dead.written_ns = state, at_ns
            dead.last = _event(at_ns, task, dead, fed, party)
            self._write(dead.last)

    def settle(self, at_ns: int) -> None:
        """Forget the tasks whose exception somebody has looked at, and those that were deleted. Cheap."""
        for weak, dead in list(self._dead.items()):
            task = weak()
            if task is None or not task_state.is_unretrieved(task):
                del self._dead[weak]
                if dead.last is not None:
                    self._write(
                        replace(dead.last, at_ns=at_ns, retrieved=task is not None, gone=task is None)
                    )


def _fed(at_ns: int, dead: _Dead, places: Mapping[Place, set[TaskRef]]) -> int | None:
    """The index of the longest queue that is fed with nobody who gets from it."""
    fed = []
    for index, weak in enumerate(dead.queues):
        size = _size(weak)
        if (queue := weak()) is None or size < dead.least[index] or sync_state.getters(queue):
            dead.served[index] = True
        elif (size > dead.least[index] or sync_state.putters(queue)) and not dead.fed_ns[index]:
            dead.fed_ns[index] = at_ns
        dead.least[index] = size
        if dead.fed_ns[index] and not dead.served[index]:
            fed.append(index)
    for index in sorted(fed, key=lambda index: -dead.least[index]):
        # Behind a dead consumer stands who served another queue: that one is longer, and only slow.
        if not may_be_served(dead.queues[index](), chain.from_iterable(places.values())):
            return index
    return None


def _party(task: Task[Any], dead: _Dead) -> tuple[int, Task[Any]] | None:
    """How many tasks wait at a barrier to which *task* will not come, and one that runs the same function."""
    its_work = task_state.work_of(task)
    code = coroutine.code_of(its_work) if type(its_work) is CoroutineType else None
    for weak in dead.barriers:
        futures = sync_state.parties(weak())
        for other in (other for future in futures for other in identity.waiters_of(future)):
            work = task_state.work_of(other)
            if code is not None and type(work) is CoroutineType and coroutine.code_of(work) is code:
                return len(futures), other
    return None


def _event(
    at_ns: int, task: Task[Any], dead: _Dead, fed: int | None, party: tuple[int, Task[Any]] | None
) -> TaskDied:
    error = task_state.exception(task)
    queue = dead.queues[fed]() if fed is not None else None
    putters = sync_state.putters(queue) if queue is not None else ()
    putting = [other for future in putters[:3] for other in identity.waiters_of(future)]
    return TaskDied(
        at_ns=at_ns,
        pid=os.getpid(),
        number=dead.number,
        died_ns=dead.at_ns,
        coroutine=coroutine.of_task(task),
        task=task_state.name_of(task),
        error=_text(error),
        stack=tuple(Frame(code.co_filename, line, code.co_qualname) for code, line in _raised(error)),
        retrieved=False,
        keeper=dead.keeper or "",
        queue=type(queue).__name__ if queue is not None else "",
        queued=sync_state.size(queue) if queue is not None else None,
        putters=len(putters) if queue is not None else None,
        putter=coroutine.of_task(putting[0]) if putting else None,
        at_barrier=party[0] if party is not None else 0,
        party=coroutine.of_task(party[1]) if party is not None else None,
    )


def _raised(error: BaseException | None) -> list[tuple[Any, int]]:
    traceback = error.__traceback__ if error is not None else None
    return [(one.tb_frame.f_code, one.tb_lineno or 0) for one in _links(traceback)][-FRAMES:]


def _links(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _text(error: BaseException | None) -> str:
    # Not `str`, which may run the program's code, here in another thread.
    arguments = BaseException.args.__get__(error) if error is not None else ()  # type: ignore[attr-defined]
    text = arguments[0] if arguments and type(arguments[0]) is str else ""
    return f"{type(error).__name__}: {text}"[:ERROR_CHARS].rstrip(": ")


def _near(error: BaseException | None) -> Iterator[Any]:
    """The queues and barriers that the frames of a traceback have: in a variable, or in an object of one."""
    traceback = error.__traceback__ if error is not None else None
    seen: set[int] = set()
    frontier: list[Any] = [one.tb_frame for one in islice(_links(traceback), FRAMES)]
    for _ in range(3):
        found: list[Any] = []
        for one in frontier:
            for part in waiting.attributes(one):
                kind = type(part)
                if id(part) in seen or issubclass(kind, _PLAIN) or len(seen) > OBJECTS:
                    continue
                seen.add(id(part))
                if issubclass(kind, asyncio.Queue | asyncio.Barrier):
                    yield part
                elif reference_state.has_python_class(part) and not issubclass(kind, _ELSEWHERE):
                    found.append(part)
        frontier = found


def _size(weak: ref[Any]) -> int:
    return sync_state.size(queue) if (queue := weak()) is not None else 0


def _keeper(task: Task[Any], pending: Iterable[TaskRef]) -> str:
    """Who may look at *task* some day, as `TaskDied` has it."""
    for weak in islice(pending, TASKS):
        if (other := weak()) is None:
            continue
        for link in coroutine.links(task_state.work_of(other)):
            looks = not _LOOKS.isdisjoint(coroutine.code_of(link).co_names)
            for part in waiting.attributes(link):
                if part is task:
                    return "variable"
                if _contains(part, task):
                    return "collection"
                if reference_state.has_python_class(part):
                    own = list(waiting.attributes(part))
                    if any(_contains(one, task) for one in own):
                        return "collection"
                    if looks and any(one is task for one in own):
                        return "watcher"
    return ""


def _contains(part: Any, task: object) -> bool:
    if not issubclass(type(part), _CONTAINERS) or len(part) > ITEMS:
        return False
    values = part.values() if issubclass(type(part), dict) else ()
    return any(one is task for one in (*part, *values))
