"""Checks which private parts of CPython and asyncio exist here: the only module that depends on versions.

The parts themselves are checked where that is possible, because a version number does not describe a patched
interpreter or a future one. Each ``why_no_...`` function returns the reason why a part of the probe cannot
work here, or "" if it can. A part that cannot work is left out; the others are not affected.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable, Iterable, Sequence
    from types import CodeType, ModuleType
    from typing import Any
    from weakref import WeakSet

# The fields that `step_hook.py` fills in for a handle, instead of `Handle.__init__`.
_HANDLE_FIELDS = {"_args", "_callback", "_cancelled", "_context", "_loop", "_repr", "_source_traceback"}
_CALL_SOON = ("self", "callback", "args", "context")
# How a constant is called without arguments: since Python 3.13, before it.
_CALLS = (["LOAD_CONST", "PUSH_NULL", "CALL", "POP_TOP"], ["PUSH_NULL", "LOAD_CONST", "CALL", "POP_TOP"])
# How what it returns is awaited: since Python 3.12 with an instruction at its end, since 3.15 with a constant
# of the interpreter's own instead of `None`.
_AWAITS = tuple(
    [*call[:-1], "GET_AWAITABLE", *none, "SEND", "YIELD_VALUE", "RESUME", "JUMP_BACKWARD_NO_INTERRUPT", *end]
    for call in _CALLS
    for none in (["LOAD_CONST"], ["PUSH_NULL", "LOAD_COMMON_CONSTANT"])
    for end in (["POP_TOP"], ["END_SEND", "POP_TOP"])
)
# What a work item takes, and what its `run` takes: until Python 3.13, and since.
_WORK_ITEMS = {
    (("self", "future", "fn", "args", "kwargs"), ("self",)),
    (("self", "future", "task"), ("self", "ctx")),
}


def warns_about_fork() -> bool:
    """Whether `os.fork` warns about several threads; the warning is in C, so only the version tells."""
    return sys.version_info >= (3, 12)


def collects_in_the_midst_of_a_call() -> bool:
    """Whether an allocation in C may begin a collection, not only the next instruction of Python."""
    return sys.version_info < (3, 12)


def listed_interpreters() -> Callable[[], Sequence[object]]:
    """A function that lists the interpreters of this process, which may each have a GIL since Python 3.12."""
    if sys.version_info >= (3, 12):
        for name in ("_interpreters", "_xxsubinterpreters"):
            try:
                found: Callable[[], Sequence[object]] = __import__(name).list_all
            except (ImportError, AttributeError):
                continue
            return found
    return lambda: ()


def why_no_session() -> str:
    """Why the probe's own threads cannot work in this process."""
    import _thread
    import select

    patching = [name for name in ("gevent", "eventlet") if name in sys.modules]
    by = patching[0] if patching else "other code"
    # Functions or types in C.
    if hasattr(_thread.start_new_thread, "__code__") or hasattr(_thread.allocate_lock, "__code__"):
        return f"{by} has replaced Python's threads"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "this Python runs without the GIL, where reading the frames of other threads may end it"
    if not hasattr(select, "epoll"):
        return f"{by} has removed epoll, or this system has none"
    return ""


def imports_lazily() -> bool:
    """Whether the first use of a name may import a module: PEP 810, since Python 3.15."""
    return hasattr(sys, "get_lazy_imports")


def why_no_loop_hook(events: ModuleType) -> str:
    """Why loops cannot be observed; *events* is `asyncio.events`."""
    return _missing(events, "_set_running_loop", "_get_running_loop")


def why_no_epoll_timing() -> str:
    """Why `EpollSelector.select` cannot be reimplemented; it can still be wrapped."""
    import selectors

    if (epoll := getattr(selectors, "EpollSelector", None)) is None:
        return "selectors has no EpollSelector"
    code = getattr(epoll.select, "__code__", None)
    lacking = {"_selector", "_fd_to_key"}.difference(code.co_names if code is not None else ())
    return f"EpollSelector.select uses no {', '.join(sorted(lacking))}" if lacking else ""


def why_no_step_log() -> str:
    """Why handles cannot be created as `step_hook.py` does."""
    from asyncio import BaseEventLoop, Handle

    if reason := _missing(BaseEventLoop, "_call_soon", "_check_closed", "_write_to_self") or _missing(
        Handle, "_run", *_HANDLE_FIELDS
    ):
        return reason
    if unknown := set(Handle.__slots__) - _HANDLE_FIELDS - {"__weakref__"}:
        return f"asyncio.Handle has unknown fields: {', '.join(sorted(unknown))}"
    safe = handle_from_threads()
    if unknown := {*safe.__slots__} - {"_lock"} if safe is not None else set():
        return f"asyncio's {safe.__name__} has unknown fields: {', '.join(sorted(unknown))}"
    return why_no_step_timer()


def handle_from_threads() -> Any:
    """The class of handles that `call_soon_threadsafe` makes itself; `None` where it calls `_call_soon`."""
    from asyncio import events

    return getattr(events, "_ThreadSafeHandle", None)


def why_no_executor_hook() -> str:
    """Why the work of thread pools cannot be observed."""
    from concurrent.futures import thread as executors

    if (item := getattr(executors, "_WorkItem", None)) is None:
        return "concurrent.futures.thread has no _WorkItem"
    if not isinstance(item, type) or (reason := _missing(item, "run")):
        return reason or "_WorkItem is no class"
    methods: Any = item
    shape = _parameters(methods.__init__), _parameters(methods.run)
    if shape not in _WORK_ITEMS:
        return f"_WorkItem takes {', '.join(shape[0]) or '?'}, and its run {', '.join(shape[1]) or '?'}"
    return ""


def run_of_work_items(executors: ModuleType) -> CodeType | None:
    """The function that calls the work of one item; *executors* is `concurrent.futures.thread`."""
    owner = getattr(executors, "WorkerContext", None) or getattr(executors, "_WorkItem", None)
    return getattr(getattr(owner, "run", None), "__code__", None)


def work_of(item: Any) -> Any:
    """The function of a work item: its own field until Python 3.13, then the first part of its task."""
    task = getattr(item, "task", None)
    return item.fn if task is None else task[0] if isinstance(task, tuple) and task else task


def arguments_of_work(item: Any) -> list[object]:
    """The positional and keyword arguments of a work item."""
    task = getattr(item, "task", None)
    if isinstance(task, tuple) and len(task) == 3:
        return [*task[1], *task[2].values()]
    return [*getattr(item, "args", ()), *getattr(item, "kwargs", {}).values()]


def why_no_step_timer() -> str:
    """Why the steps of tasks cannot be timed by replacing `Handle._run` and `BaseEventLoop._call_soon`."""
    from asyncio import BaseEventLoop, Handle

    if reason := _missing(BaseEventLoop, "_call_soon") or _missing(Handle, "_run", "_callback"):
        return reason
    taken = _parameters(BaseEventLoop._call_soon)  # type: ignore[attr-defined]
    if taken[: len(_CALL_SOON)] != _CALL_SOON:  # the probe's own takes one more
        return f"BaseEventLoop._call_soon takes {', '.join(taken)}"
    taken = _parameters(Handle._run)
    return "" if taken == ("self",) else f"Handle._run takes {', '.join(taken)}"


def why_no_thread_hook() -> str:
    """Why the starts of threads cannot be observed."""
    import threading

    taken = _parameters(threading.Thread.start)
    return "" if taken == ("self",) else f"Thread.start takes {', '.join(taken) or '?'}"


def why_no_joining_hook() -> str:
    """Why the end of the main thread cannot be observed before the other threads are joined."""
    import threading

    return _missing(threading, "_register_atexit")


def starts_no_thread_at_the_end() -> bool:
    """Whether the main thread can start no further thread once it has ended; only the version tells."""
    return sys.version_info[:2] == (3, 12)


def why_no_census() -> str:
    """Why the tasks of this process cannot be counted."""
    import asyncio.tasks

    if native_all_tasks() is not None or task_register() is not None:
        return ""
    return _missing(asyncio.tasks, "_scheduled_tasks") or "asyncio registers its tasks in an unknown way"


def counts_busy_threads_as_idle() -> bool:
    """Whether a thread of an executor that takes its next call at once has been counted as idle for good."""
    return sys.version_info < (3, 12)


def why_no_pool(executor: Any) -> str:
    """Why the queue and the threads of an executor cannot be read."""
    return _missing_of(executor, "_work_queue", "_idle_semaphore", "_threads", "_max_workers")


def task_register() -> WeakSet[Task[Any]] | None:
    """asyncio's register of all tasks, which was renamed in Python 3.12; `None` if there is none."""
    from asyncio import tasks

    # Where asyncio lists its tasks in C, this one has the tasks of foreign classes alone.
    if native_all_tasks() is not None or not hasattr(tasks.all_tasks, "__code__"):
        return None
    return getattr(tasks, "_scheduled_tasks", getattr(tasks, "_all_tasks", None))


def native_all_tasks() -> Callable[[AbstractEventLoop], Iterable[Task[Any]]] | None:
    """The function that lists the pending tasks of a loop, where asyncio registers them in C: Python 3.14.

    It does not release the GIL.
    """
    return getattr(sys.modules.get("_asyncio"), "all_tasks", None)


def groups_leave_requests(taskgroups: ModuleType) -> bool:
    """Whether a `TaskGroup` takes back its cancellation of its own task only before it waits, not afterwards.

    False for one of an unknown shape.
    """
    group = getattr(taskgroups, "TaskGroup", None)
    done = getattr(getattr(group, "_on_task_done", None), "__code__", None)
    leaving = getattr(getattr(group, "__aexit__", None), "__code__", None)
    if done is None or leaving is None or done.co_varnames[:2] != ("self", "task"):
        return False
    fields = {"_parent_cancel_requested", "_parent_task", "cancel"}
    names = leaving.co_names  # in the order of their first use
    if not fields <= {*done.co_names} or not {"uncancel", "_exiting", "_tasks"} <= {*names}:
        return False
    return bool(names.index("uncancel") < names.index("_tasks"))


def why_no_methods_in_c(owner: type) -> str:
    """Why methods of a class written in C cannot be replaced."""
    import gc

    if sys.implementation.name != "cpython":
        return f"classes of {sys.implementation.name} are not CPython's"
    # The dictionary behind the class's read-only view of it.
    behind = gc.get_referents(vars(owner))
    return "" if len(behind) == 1 and type(behind[0]) is dict else f"the parts of {owner.__name__} are hidden"


def why_no_signal_hook(module: ModuleType) -> str:
    """Why handlers of signals cannot be observed; *module* is the one behind `signal`."""
    return _missing(module, "signal", "getsignal") or _not_in_c(module, "signal", "getsignal")


def why_no_span_processor(sdk: ModuleType) -> str:
    """Why OpenTelemetry's spans cannot be observed; *sdk* is `opentelemetry.sdk.trace`."""
    return (
        _missing(sdk, "TracerProvider", "SpanProcessor")
        or _missing(sdk.TracerProvider, "add_span_processor")
        or _missing(sdk.SpanProcessor, "on_start", "on_end")
    )


def why_no_exception_handler(kind: type) -> str:
    """Why the reports of a class of loops to its exception handlers cannot be observed."""
    if reason := _missing(kind, "call_exception_handler"):
        return reason
    taken = _parameters(kind.call_exception_handler)  # type: ignore[attr-defined]
    # A function in C has none.
    return "" if not taken or len(taken) == 2 else f"call_exception_handler takes {', '.join(taken)}"


def why_no_unawaited_warning(warnings: ModuleType) -> str:
    """Why warnings about coroutines that were never awaited cannot be observed."""
    if (found := unawaited_warning(warnings)) is None:
        return "warnings has no _warn_unawaited_coroutine in Python"
    if found.__closure__ or _parameters(found) != ("coro",):
        return f"_warn_unawaited_coroutine takes {', '.join(_parameters(found))}"
    names = {*found.__code__.co_names, *found.__code__.co_varnames}
    return "" if "warn" in names else "_warn_unawaited_coroutine calls no warn"


def unawaited_warning(warnings: ModuleType) -> Any:
    """Python's function that warns about a coroutine that was never awaited; `None` if there is none."""
    from types import FunctionType

    found = getattr(warnings, "_warn_unawaited_coroutine", None)
    return found if isinstance(found, FunctionType) else None


def resume_opcode() -> int:
    """The instruction with which a function begins and a coroutine resumes; -1 if there is none."""
    from opcode import opmap

    return opmap.get("RESUME", -1)


def call_template() -> list[tuple[int, int]]:
    """The instructions, each with its argument, that call a constant and drop the result; caches included.

    They are taken from a function that this Python has compiled.

    Raises:
        TypeError: Its compiler translates such a call in an unknown way.
    """

    def calls() -> None:
        (lambda: None)()

    template, found = _template(calls)
    if [name for name in found if name not in ("CACHE", "PRECALL")] not in _CALLS:
        raise TypeError(f"this Python calls a constant by {', '.join(found)}")
    return template


def await_template() -> list[tuple[int, int]]:
    """As `call_template`, but what the constant returns is awaited.

    What a handler around a compiled `await` does is not needed: it ends an awaited generator that raises
    `StopIteration` when something is thrown into it, which no coroutine does.
    """

    async def awaits() -> None:
        await (lambda: None)()  # type: ignore[misc]  # it is not run

    template, found = _template(awaits)
    if [name for name in found if name not in ("CACHE", "PRECALL")] not in _AWAITS:
        raise TypeError(f"this Python awaits a constant by {', '.join(found)}")
    return template


def _template(function: Callable[..., object]) -> tuple[list[tuple[int, int]], list[str]]:
    """The instructions of the one statement of *function*, and their names."""
    from opcode import opmap

    names = {number: name for name, number in opmap.items()}
    raw = function.__code__.co_code
    pairs = list(zip(raw[::2], raw[1::2], strict=True))
    while pairs and names.get(pairs.pop(0)[0]) != "RESUME":
        pass
    while pairs and names.get(pairs[0][0]) == "CACHE":  # of RESUME
        pairs.pop(0)
    template = []
    for opcode, argument in pairs:
        # A constant takes the place of the function that is made here.
        if (name := names.get(opcode, "")) != "MAKE_FUNCTION":
            template.append((opcode, argument))
        if name == "POP_TOP":
            break
    return template, [names.get(opcode, "CACHE") for opcode, _ in template]


def _parameters(function: Any) -> tuple[str, ...]:
    """The names of all parameters; none for a function in C."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ()
    extra = bool(code.co_flags & 4) + bool(code.co_flags & 8)  # *args, **kwargs
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + extra]
    return names


def _not_in_c(module: ModuleType, *names: str) -> str:
    """The functions that other code has replaced already."""
    patched = [name for name in names if hasattr(getattr(module, name), "__code__")]
    return f"{module.__name__}.{patched[0]} is not Python's own" if patched else ""


def _missing_of(thing: object, *names: str) -> str:
    absent = (name for name in names if not hasattr(thing, name))
    return next((f"{type(thing).__qualname__} has no {name}" for name in absent), "")


def _missing(owner: Any, *names: str) -> str:
    for name in names:
        if not hasattr(owner, name):
            module = "" if isinstance(owner, type(sys)) else f"{owner.__module__.partition('.')[0]}."
            return f"{module}{owner.__name__} has no {name}"
    return ""
