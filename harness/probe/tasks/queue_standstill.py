"""Finds out why a queue that is full is not emptied, or why its items are never all done."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Queue, Task
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from types import CodeType, FunctionType
from typing import Any

from ..hooks.state import loop_state, sync_state, task_state
from ..hooks.state.task_state import TaskRef
from . import coroutine, waiting
from .holder import FOLLOWED, TIMERS, codes_of, concerns, is_near, near

_GETS = frozenset(("get", "get_nowait"))

# Global names of a module that are searched.
NAMES = 2_000
# All that get from a full queue wait for room in it; nobody is left who could report the last items as done.
FEEDERS, UNDONE = "feeders", "undone"


def may_be_served(queue: object, pending: Iterable[TaskRef]) -> bool:
    """Whether a task that is busy may get from *queue* later: it has it at hand, and calls a `get`.

    One that itself waits for room in the queue is not: somebody else would have to get first.
    """
    putting = set(map(id, sync_state.putters(queue)))
    for weak in islice(pending, FOLLOWED):
        if (task := weak()) is None or id(task_state.awaited_future(task)) in putting:
            continue
        if any(not _GETS.isdisjoint(code.co_names) for code in codes_of(task)) and is_near(task, queue):
            return True
    return False


def is_fed_by_its_takers(queue: object, pending: Iterable[TaskRef]) -> bool:
    """Whether tasks that get from *queue* wait for room in it; to be asked where no other task may get.

    They have no other queue at hand, and no timer or plain function takes its items.
    """
    tasks = list(_alive(pending))
    putters = sync_state.putters(queue)
    if not putters or len(tasks) >= FOLLOWED or _has_timer(putters[0].get_loop(), queue):
        return False
    putting = [task for task in tasks if id(task_state.awaited_future(task)) in set(map(id, putters))]
    if not any(_takes_only_from(task, queue) for task in putting):
        return False
    return not any(_is_called_in(names, "get_nowait") for names in _modules(tasks))


def _takes_only_from(task: Task[Any], queue: object) -> bool:
    """Whether a function of *task* calls a `get`, which must be that of *queue*."""
    if all(_GETS.isdisjoint(code.co_names) for code in codes_of(task)):
        return False
    return {id(one) for one in near(task) if issubclass(type(one), Queue)} == {id(queue)}


def is_undone(queue: Any, pending: Iterable[TaskRef]) -> bool:
    """Whether *queue* is empty, items of it are not done, and nobody is left who may report that they are.

    Those who get from it wait for the next item, and call no `task_done`; no callback or timer refers to it.
    Neither do others call it: no function of their modules does, or none of them has the queue at hand.
    """
    getters = sync_state.getters(queue)
    if sync_state.size(queue) or not sync_state.unfinished(queue) or not getters:
        return False
    tasks = list(_alive(pending))
    at_queue = set(map(id, chain(getters, sync_state.joiners(queue))))
    waiting_there = [task for task in tasks if id(task_state.awaited_future(task)) in at_queue]
    codes = [code for task in waiting_there for code in codes_of(task)]
    if len(tasks) >= FOLLOWED or any(_calls(code, "task_done") for code in codes):
        return False
    if _has_timer(getters[0].get_loop(), queue) or any(
        _refers(callback, queue) for task in tasks for callback in task_state.callbacks(task)
    ):
        return False
    if not any(_is_called_in(names, "task_done") for names in _modules(tasks)):
        return True
    return not any(is_near(task, queue) for task in tasks if task not in waiting_there)


def _modules(tasks: Iterable[Task[Any]]) -> list[dict[str, Any]]:
    """The global names of the functions that the tasks are in, without asyncio's."""
    frames = (
        coroutine.frame_of(link) for task in tasks for link in coroutine.links(task_state.work_of(task))
    )
    found = {id(frame.f_globals): frame.f_globals for frame in frames if frame is not None}
    return [names for names in found.values() if not str(names.get("__name__")).startswith("asyncio.")]


def _is_called_in(names: dict[str, Any], called: str) -> bool:
    """Whether a function of a module calls this; of a large module it is taken for granted."""
    if len(names) > NAMES:
        return True
    values = list(names.values())
    values += [one for value in values if issubclass(type(value), type) for one in vars(value).values()]
    return any(_calls(value.__code__, called) for value in values if issubclass(type(value), FunctionType))


def _has_timer(loop: AbstractEventLoop, queue: object) -> bool:
    return any(concerns(timer, queue) for timer in islice(list(loop_state.timers(loop)), TIMERS))


def _alive(pending: Iterable[TaskRef]) -> Iterator[Task[Any]]:
    return (task for weak in islice(pending, FOLLOWED) if (task := weak()) is not None)


def _calls(code: CodeType, called: str) -> bool:
    """Whether a function, or one inside of it, calls what has this name."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return called in code.co_names or any(_calls(one, called) for one in inner)


def _refers(callback: object, queue: object) -> bool:
    held = [getattr(callback, "__self__", None), *getattr(callback, "args", ())]
    cells = getattr(callback, "__closure__", None) or ()
    held += [one for cell in cells for one in waiting.attributes(cell)]
    return any(one is queue for one in held)
