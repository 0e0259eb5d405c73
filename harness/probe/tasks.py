"""Who runs, and in which span: read from outside the task, only when there is something to report.

OpenTelemetry is looked at only when the target has imported it itself.
"""

from __future__ import annotations

import gc
import sys
from asyncio import Future, Handle, Task
from contextvars import Context
from types import CellType, FrameType
from typing import Any, NamedTuple

# Longer chains of tasks that wait for each other lose their outer end.
CHAIN = 20


class Identity(NamedTuple):
    """What a task or callback is called in a report."""

    task: str = ""
    coroutine: str = ""
    span: str = ""
    trace_id: str = ""
    span_id: str = ""


def of_step(task: Task[Any] | None, frame: FrameType | None) -> Identity:
    """Who holds a loop: its current task, or the callback whose `Handle` is on the stack of *frame*."""
    if task is not None:
        return of_task(task)
    while frame is not None:
        if frame.f_code is Handle._run.__code__:
            handle = frame.f_locals.get("self")
            return of_context(getattr(handle, "_context", None))
        frame = frame.f_back
    return Identity()


def of_task(task: Task[Any]) -> Identity:
    """The task's name, coroutine and span."""
    name = _name(task.get_coro())
    return of_context(_context_of(task))._replace(task=task.get_name(), coroutine=name)


def awaited_by(task: Task[Any]) -> tuple[str, ...]:
    """The names of the tasks that wait for *task*, one for the other, the next one first."""
    names: list[str] = []
    waiter = _waiter_of(task)
    while waiter is not None and len(names) < CHAIN:
        names.append(waiter.get_name())
        waiter = _waiter_of(waiter)
    return tuple(names)


def _waiter_of(future: Future[Any]) -> Task[Any] | None:
    """The first task that is resumed or told when *future* is done: directly, by a group, or by a gather."""
    for callback, *_ in getattr(future, "_callbacks", None) or ():
        owner = getattr(callback, "__self__", None)
        if isinstance(owner, Task):
            return owner
        parent = getattr(owner, "_parent_task", None)  # a TaskGroup
        if isinstance(parent, Task):
            return parent
        for cell in getattr(callback, "__closure__", None) or ():  # `gather` keeps its future in a closure
            outer = cell.cell_contents if _is_filled(cell) else None
            if isinstance(outer, Future) and outer is not future:
                return _waiter_of(outer)
    return None


def _is_filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def behind(handle: Handle) -> Task[Any] | None:
    """The task that a ready callback or due timer would resume, if any."""
    callback = getattr(handle, "_callback", None)
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, Task):
        return owner
    held = getattr(owner, "_task", None)  # a timeout that is due: `asyncio.timeout` keeps its task
    if isinstance(held, Task):
        return held
    # A future about to be resolved (`asyncio.sleep`, an executor's result): the task that awaits it. Or a
    # transport: its stream keeps the future of who reads.
    stream = getattr(getattr(owner, "_protocol", None), "_stream_reader", None)
    for candidate in (owner, getattr(stream, "_waiter", None), *(getattr(handle, "_args", None) or ())):
        if isinstance(candidate, Future):
            for waiter in getattr(candidate, "_callbacks", None) or ():
                task = getattr(waiter[0], "__self__", None)
                if isinstance(task, Task):
                    return task
    return None


def kind_of(handle: Handle) -> str:
    """What many callbacks have in common: the name of the coroutine that one resumes, or its own."""
    task = behind(handle)
    return _name(task.get_coro()) if task is not None else of_callback(handle).task


def of_callback(handle: Handle) -> Identity:
    """The name of a callback that is no task's, and the span that was current where it was scheduled."""
    callback: Any = getattr(handle, "_callback", None)
    while hasattr(callback, "func"):  # functools.partial
        callback = callback.func
    return of_context(getattr(handle, "_context", None))._replace(task=_name(callback))


def of_file(handle: Handle) -> Identity:
    """What a file or socket is read or written for, when no task waits for it.

    Without a span: such a callback has the context of its registration.
    """
    callback: Any = getattr(handle, "_callback", None)
    if getattr(callback, "__name__", "") == "_accept_connection":
        return Identity(task="a new connection")
    protocol = getattr(getattr(callback, "__self__", None), "_protocol", None)
    if protocol is not None:
        return Identity(task=type(protocol).__qualname__)
    return of_callback(handle)._replace(span="", trace_id="", span_id="")


def of_context(context: Context | None) -> Identity:
    """The span that is current in *context*."""
    # An empty Context is falsy, so compare with None.
    return of_span(span_in(context)) if context is not None else Identity()


def span_in(context: Context | None) -> Any:
    """The same as OpenTelemetry's own object; in the context of this very moment when that is `None`."""
    tracing = sys.modules.get("opentelemetry.context")
    keys = sys.modules.get("opentelemetry.trace.propagation")
    if tracing is None or keys is None:
        return None
    variable = getattr(getattr(tracing, "_RUNTIME_CONTEXT", None), "_current_context", None)
    if variable is None:
        return None
    values = variable.get(None) if context is None else context.get(variable)
    return values.get(getattr(keys, "_SPAN_KEY", "")) if values else None


def of_span(span: Any) -> Identity:
    """The name and the ids of a span."""
    if span is None:
        return Identity()
    ids = span.get_span_context()
    if not ids.is_valid:
        return Identity()
    return Identity(
        span=getattr(span, "name", ""),
        trace_id=f"{ids.trace_id:032x}",
        span_id=f"{ids.span_id:016x}",
    )


def _name(thing: object) -> str:
    return getattr(thing, "__qualname__", None) or type(thing).__qualname__


def _context_of(task: Task[Any]) -> Context | None:
    if sys.version_info >= (3, 12):
        return task.get_context()
    # The C task of 3.11 keeps its context to itself, but shows it to the collector.
    return next((held for held in gc.get_referents(task) if type(held) is Context), None)
