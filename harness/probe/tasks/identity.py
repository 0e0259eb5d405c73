"""Who runs, and in which span: read from outside the task, only when there is something to report.

OpenTelemetry is looked at only when the target has imported it itself.
"""

from __future__ import annotations

import gc
import sys
from asyncio import Future, Handle, Task
from collections.abc import Iterator
from contextvars import Context, ContextVar
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
    waiter = next(waiters_of(task), None)
    while waiter is not None and len(names) < CHAIN:
        names.append(waiter.get_name())
        waiter = next(waiters_of(waiter), None)
    return tuple(names)


def waiters_of(future: Future[Any]) -> Iterator[Task[Any]]:
    """The tasks that are resumed or told when *future* is done: directly, by a group, by gather or wait."""
    futures = [future]
    for one in futures:
        for callback, *_ in getattr(one, "_callbacks", None) or ():
            owner = getattr(callback, "__self__", None)
            parent = getattr(owner, "_parent_task", None)  # a TaskGroup
            if isinstance(owner, Task):
                yield owner
            elif isinstance(parent, Task):
                yield parent
            else:
                # `gather`, `shield`, `wait` keep their future in a closure; a shield's two know each other.
                futures += (outer for outer in futures_in(callback) if outer not in futures)


def futures_in(callback: object) -> list[Future[Any]]:
    cells = getattr(callback, "__closure__", None) or ()
    held = [cell.cell_contents for cell in cells if _is_filled(cell)]
    held += getattr(callback, "args", ())  # a partial, with which `wait_for` works until 3.11
    return [future for future in held if isinstance(future, Future)]


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
    variable = span_variable()
    # An empty Context is falsy, so compare with None.
    if context is None or variable is None:
        return Identity()
    return of_span(span_in(context.get(variable)))


def running_span() -> Any:
    """The span that is current here and now, as OpenTelemetry's own object; `None` for none."""
    variable = span_variable()
    return span_in(variable.get(None)) if variable is not None else None


def span_of(task: Task[Any]) -> Any:
    """The same of another task, which may run in another thread."""
    context, variable = _context_of(task), span_variable()
    return span_in(context.get(variable)) if context is not None and variable is not None else None


def span_variable() -> ContextVar[Any] | None:
    """In which OpenTelemetry keeps what is current; `None` before it is imported."""
    tracing = sys.modules.get("opentelemetry.context")
    return getattr(getattr(tracing, "_RUNTIME_CONTEXT", None), "_current_context", None)


def span_in(values: Any) -> Any:
    """The span among what OpenTelemetry keeps in a context."""
    keys = sys.modules.get("opentelemetry.trace.propagation")
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
