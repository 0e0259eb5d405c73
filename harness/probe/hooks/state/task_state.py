"""Reads what asyncio keeps about tasks and futures in private attributes.

Tasks and futures of foreign classes may lack these. Each function then returns `None` or an empty result.
"""

from __future__ import annotations

import gc
from asyncio import BaseEventLoop, BaseTransport, Future, StreamReader, Task, TaskGroup, tasks
from collections.abc import Iterable
from contextvars import Context
from traceback import FrameSummary
from types import CellType, CodeType
from typing import Any
from weakref import ref

TaskRef = ref[Task[Any]]
# In C, and in Python; a task is a future, too.
_OWN: tuple[Any, ...] = (Task, *filter(None, [getattr(tasks, "_PyTask", None)]), Future)
_WAITS_FOR_DATA: CodeType | None = getattr(getattr(StreamReader, "_wait_for_data", None), "__code__", None)


# The methods are asyncio's own, because a subclass of the program may override them, and that would run in a
# thread of the probe. Tasks and futures of foreign classes have only theirs.


def work_of(task: Task[Any]) -> Any:
    """The coroutine that *task* runs."""
    return _asyncios(task).get_coro(task)


def name_of(task: Task[Any]) -> str:
    """The name of *task*."""
    return _asyncios(task).get_name(task)  # type: ignore[no-any-return]


def is_done(future: Future[Any]) -> bool:
    """Whether *future*, or a task, has ended."""
    return _asyncios(future).done(future)  # type: ignore[no-any-return]


def is_cancelled(future: Future[Any]) -> bool:
    """Whether *future*, or a task, has ended by being cancelled."""
    return _asyncios(future).cancelled(future)  # type: ignore[no-any-return]


def cancelling(task: Task[Any]) -> int:
    """How many requests to cancel *task* are pending."""
    return _asyncios(task).cancelling(task)  # type: ignore[no-any-return]


def _asyncios(future: Any) -> Any:
    kind = type(future)
    if kind is Task:
        return Task
    return next((own for own in _OWN if issubclass(kind, own)), kind)


def awaited_future(task: Task[Any]) -> Future[Any] | None:
    """The future that *task* waits for; `None` for a task that is ready, running or done."""
    return getattr(task, "_fut_waiter", None)


def callbacks(future: Future[Any]) -> list[Any]:
    """The callbacks to call when *future* is done, in order."""
    return [callback for callback, *_ in getattr(future, "_callbacks", None) or ()]


def creation_stack(made: object) -> list[FrameSummary] | None:
    """The stack on which a task, future or handle was made: asyncio's own list, kept in debug mode only."""
    return getattr(made, "_source_traceback", None)


def exception(task: Task[Any]) -> BaseException | None:
    """The exception that *task* ended with, if any.

    Unlike `task.exception()`, this does not count as retrieving it: asyncio still reports an exception that
    the program never retrieves.
    """
    return getattr(task, "_exception", None)


def is_unretrieved(task: Task[Any]) -> bool:
    """Whether *task* ended with an exception that nobody has looked at so far."""
    return bool(getattr(task, "_log_traceback", False)) and isinstance(exception(task), Exception)


def context(task: Task[Any]) -> Context | None:
    """The context in which *task* runs."""
    if hasattr(task, "get_context"):
        return task.get_context()  # type: ignore[no-any-return]
    # The C task of Python 3.11 does not expose its context, but the collector can reach it.
    return next((held for held in gc.get_referents(task) if type(held) is Context), None)


def parent_of_group(group: object) -> Task[Any] | None:
    """The task that waits in the ``async with`` of a `TaskGroup`."""
    parent = getattr(group, "_parent_task", None)
    return parent if isinstance(parent, Task) else None


def tasks_of_group(group: TaskGroup) -> Iterable[Task[Any]]:
    """The tasks of *group* that are not done."""
    return tuple(getattr(group, "_tasks", ()))


def task_of_timeout(timeout: object) -> Task[Any] | None:
    """The task that an `asyncio.Timeout` will cancel."""
    task = getattr(timeout, "_task", None)
    return task if isinstance(task, Task) else None


def gathered(future: object) -> list[Future[Any]] | None:
    """The futures that a future of `asyncio.gather` waits for; `None` for any other future."""
    return getattr(future, "_children", None)


def stream_waiter(transport: object) -> Future[Any] | None:
    """The future of the coroutine that reads from the stream of this transport."""
    reader = getattr(getattr(transport, "_protocol", None), "_stream_reader", None)
    return getattr(reader, "_waiter", None)


def is_asyncios_transport(thing: object) -> bool:
    """Whether *thing* is one of asyncio's own transports."""
    return isinstance(thing, BaseTransport) and type(thing).__module__.startswith("asyncio.")


def read_transport(task: Task[Any]) -> Any:
    """The transport of the `StreamReader` that *task* waits to read from; `None` if it waits for another."""
    step: Any = work_of(task)
    # As deep as a program's own calls may be; a chain that refers to itself must not hang.
    for _ in range(100):
        frame, awaited = getattr(step, "cr_frame", None), getattr(step, "cr_await", None)
        if frame is None:
            return None
        if frame.f_code is _WAITS_FOR_DATA:
            return getattr(frame.f_locals.get("self"), "_transport", None)
        step = awaited
    return None


def futures_in(callback: object) -> list[Future[Any]]:
    """The futures that a callback holds: `gather`, `shield` and `wait` keep theirs in its closure."""
    cells = getattr(callback, "__closure__", None) or ()
    held = [cell.cell_contents for cell in cells if _is_filled(cell)]
    held += getattr(callback, "args", ())  # a partial, as `wait_for` uses until Python 3.11
    return [future for future in held if isinstance(future, Future)]


def unstarted_task(loop: BaseEventLoop) -> Task[None]:
    """A task of a loop that never runs, to measure with; nothing reports that it was left pending."""
    work = _nothing()
    # What is half made when an error ends this reports itself, too.
    loop.set_exception_handler(lambda *_: None)
    try:
        # With a name: asyncio counts the tasks that it names itself.
        task: Any = Task(work, loop=loop, name="harness")
        task._log_destroy_pending = False
    finally:
        # Running its step would fail: since Python 3.14, only in a loop that runs.
        loop._ready.clear()  # type: ignore[attr-defined]
        work.close()
    return task  # type: ignore[no-any-return]


async def _nothing() -> None: ...


def _is_filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
