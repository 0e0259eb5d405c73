"""Names the running task or callback, and its span, when there is something to report.

OpenTelemetry is used only if the target has imported it itself.
"""

from __future__ import annotations

from asyncio import Future, Handle, Task
from collections.abc import Iterator
from contextvars import Context
from functools import partial
from types import BuiltinMethodType, FrameType, MethodWrapperType, ModuleType
from typing import Any

from ...record.value import Row
from ..hooks.state import loop_state, reference_state, task_state
from ..hooks.state.span_state import span_in, span_variable
from ..hooks.state.task_state import futures_in

# Longer chains of tasks that await each other lose their outer end.
CHAIN = 20


class Identity(Row):
    """The names of a task or callback in a report, and of its span."""

    task: str = ""
    coroutine: str = ""
    span: str = ""
    trace_id: str = ""
    span_id: str = ""


def of_step(task: Task[Any] | None, frame: FrameType | None) -> Identity:
    """The holder of a loop: its current task, else the callback whose `Handle` is on the stack of *frame*."""
    if task is not None:
        return of_task(task)
    run = loop_state.run_code()
    while frame is not None:
        if frame.f_code is run:
            return of_context(loop_state.context(frame.f_locals.get("self")))
        frame = frame.f_back
    return Identity()


def of_task(task: Task[Any]) -> Identity:
    """The task's name, coroutine and span."""
    return _in_context(task_state.context(task), task_state.name_of(task), name_of(task_state.work_of(task)))


def awaited_by(task: Task[Any]) -> tuple[str, ...]:
    """The names of the task that waits for *task*, of the one that waits for that task, and so on."""
    names: list[str] = []
    waiter = next(waiters_of(task), None)
    while waiter is not None and len(names) < CHAIN:
        names.append(task_state.name_of(waiter))
        waiter = next(waiters_of(waiter), None)
    return tuple(names)


def waiters_of(future: Future[Any]) -> Iterator[Task[Any]]:
    """The tasks that wait for *future*: directly, in a task group, or by `gather`, `shield` or `wait`."""
    futures = [future]
    for one in futures:
        for callback in task_state.callbacks(one):
            owner = getattr(callback, "__self__", None)
            if isinstance(owner, Task):
                yield owner
            elif (parent := task_state.parent_of_group(owner)) is not None:
                yield parent
            else:
                # The two futures of a shield refer to each other.
                futures += (outer for outer in futures_in(callback) if outer not in futures)


def behind(handle: Handle) -> Task[Any] | None:
    """The task that a ready callback or due timer would resume, if any."""
    owner = reference_state.attribute(loop_state.callback(handle), "__self__")
    # Not `isinstance`: an object may compute its `__class__`.
    if issubclass(type(owner), Task):
        return owner  # type: ignore[no-any-return]
    if (timed := task_state.task_of_timeout(owner)) is not None:
        return timed
    # A future about to be resolved (`asyncio.sleep`, an executor's result): the task that awaits it. Or a
    # transport: its stream holds the future of the task that reads.
    for candidate in (owner, task_state.stream_waiter(owner), *loop_state.arguments(handle)):
        if issubclass(type(candidate), Future):
            for callback in task_state.callbacks(candidate):
                task = reference_state.attribute(callback, "__self__")
                if issubclass(type(task), Task):
                    return task  # type: ignore[no-any-return]
    return None


def kind_of(handle: Handle) -> str:
    """The name that similar callbacks share: of the coroutine that *handle* resumes, else of its callback."""
    task = behind(handle)
    return name_of(task_state.work_of(task)) if task is not None else callback_name(handle)


def of_callback(handle: Handle) -> Identity:
    """A callback that resumes no task: its name, and the span that was current where it was scheduled."""
    return _in_context(loop_state.context(handle), callback_name(handle))


def of_file(handle: Handle) -> Identity:
    """The owner of a ready file or socket for which no task waits.

    There is no span: the context of such a callback is that of its registration.
    """
    if loop_state.accepts_connections(handle):
        return Identity(task="a new connection")
    protocol = loop_state.protocol(handle)
    return Identity(task=type(protocol).__qualname__ if protocol is not None else callback_name(handle))


def callback_name(handle: Handle) -> str:
    """The qualified name of what *handle* calls, behind partials."""
    return full_name_of(function_of(handle))


def function_of(handle: Handle) -> Any:
    """What *handle* calls, behind partials."""
    callback = loop_state.callback(handle)
    if callback is None and loop_state.forgets(handle):
        return repr(handle).removeprefix("<Handle ").removesuffix(">")  # a method in C, which it only names
    while issubclass(type(callback), partial):
        callback = callback.func
    return callback


def of_context(context: Context | None) -> Identity:
    """The span that is current in *context*."""
    variable = span_variable()
    # An empty Context is falsy.
    if context is None or variable is None:
        return Identity()
    return of_span(span_in(context.get(variable)))


def running_span() -> Any:
    """The current span, as OpenTelemetry's own object; `None` if there is none."""
    variable = span_variable()
    return span_in(variable.get(None)) if variable is not None else None


def span_of(task: Task[Any]) -> Any:
    """The current span of another task, which may run in another thread."""
    context, variable = task_state.context(task), span_variable()
    return span_in(context.get(variable)) if context is not None and variable is not None else None


def of_span(span: Any) -> Identity:
    """The name and the ids of a span."""
    if span is None or not (ids := span.get_span_context()).is_valid:
        return Identity()
    return Identity(
        span=getattr(span, "name", ""), trace_id=f"{ids.trace_id:032x}", span_id=f"{ids.span_id:016x}"
    )


def name_of(thing: object) -> str:
    """The qualified name of a function or coroutine; of anything else, that of its type."""
    return reference_state.attribute(thing, "__qualname__") or type(thing).__qualname__


def full_name_of(thing: object) -> str:
    """The qualified name; that of a function in C has its module, because there is no line beside it."""
    name = name_of(thing)
    if not issubclass(type(thing), BuiltinMethodType | MethodWrapperType) or not (module := module_of(thing)):
        return name
    # ``_hashlib`` is how `hashlib` is built; nobody imports it by that name.
    return name if module == "builtins" else f"{module.lstrip('_')}.{name}"


def module_of(function: Any) -> str:
    """The name of the module of a function or method, also of one in C; "" if it has none."""
    own = getattr(function, "__self__", None)
    kind = getattr(function, "__objclass__", type(own))  # of a descriptor, or of what a method is bound to
    named = getattr(function, "__module__", None)
    if named is None and own is not None and not isinstance(own, ModuleType):
        named = getattr(own if isinstance(own, type) else kind, "__module__", None)
    elif named is None:
        named = getattr(getattr(function, "__objclass__", None), "__module__", None)
    return named if isinstance(named, str) else ""


def innermost(function: Any) -> Any:
    """The program's own function, inside partials and the context in which `asyncio.to_thread` runs it."""
    while issubclass(type(function), partial):
        in_context = isinstance(getattr(function.func, "__self__", None), Context) and function.args
        function = function.args[0] if in_context else function.func
    return function


def _in_context(context: Context | None, task: str, coroutine: str = "") -> Identity:
    span = of_context(context)
    return Identity(task, coroutine, span.span, span.trace_id, span.span_id)
