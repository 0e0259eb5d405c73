"""Names what a task waits for, as the console shows it."""

from __future__ import annotations

from asyncio import Task
from dataclasses import dataclass, field
from typing import Any

from ...probe.hooks.state import executor_state, task_state
from ...probe.tasks import coroutine, waiting
from ...record.observation import Frame
from ...stacks.ownership import CodeOwnership
from . import task_table
from .object_ids import ObjectIds

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
    if (known := waiting.on_asyncio(links)) is not None:
        return Wait(*known)
    if any(map(executor_state.chains_to_thread, task_state.callbacks(future))):
        return Wait("executor")
    return Wait(_function(links, ownership) if ownership else "future")


def _function(links: list[Any], ownership: CodeOwnership) -> str:
    """The library function in which the program's own code waits."""
    names = []
    for link in reversed(links):
        code = coroutine.code_of(link)
        if ownership.is_application(Frame(code.co_filename, 0, "")):
            break
        names.append(code.co_qualname)
    return names[-1] if names else "future"
