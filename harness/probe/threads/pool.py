"""The pools of threads that loops give calls to, seen alike: how many threads, who waits, who is at work.

A pool is a `ThreadPoolExecutor`; a limiter of AnyIO, whose tokens are threads; or a single thread with a
queue of its own, as adapters of blocking libraries have it. They live for one look: nothing of the program
is kept alive between two.
"""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop, Future, Task
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import islice
from types import FrameType, FunctionType, MethodType
from typing import Any
from weakref import ref

from ...record.observation import Frame
from ...record.value import Row
from ..code_paths import libraries
from ..hooks.state import executor_state, limiter_state, task_state
from ..tasks import identity
from .stack import stack_of

# Of a longer queue, the oldest calls are inspected.
INSPECTED = 2_000
# Threads of one pool whose work is looked at.
LOOKED_AT = 64
# A call through more of these loses the program's own function.
WRAPPERS = 6
UNKNOWN = Frame("", 0, "")
_libraries = cache(libraries)
# The innermost frame of each thread, read once in a look.
Frames = Callable[[], dict[int, FrameType]]


class QueuedCall(Row):
    """A call that waits for a thread."""

    key: Any  # the future or the task that stands for it, which can be referred to weakly
    item: Any  # what lies in the queue


class PoolWork(Row):
    """What a thread of a pool does for a call."""

    function: Frame  # the submitted one, at its first line
    asker: Frame  # the coroutine whose task awaits the call
    stack: tuple[Frame, ...]  # outermost first
    waits_for: Any = None  # the future for whose result the thread waits


class ExecutorPool:
    """A `ThreadPoolExecutor`."""

    kind = "executor"

    def __init__(self, executor: Any, threads: Sequence[ref[threading.Thread]]) -> None:
        self.key = id(executor)
        self._executor = executor
        self._threads = threads

    def _idents(self) -> list[int]:
        return [thread.ident or 0 for known in self._threads if (thread := known()) is not None]

    def name(self, loops: Iterable[AbstractEventLoop]) -> str:
        if any(executor_state.is_default_of(self._executor, loop) for loop in loops):
            return "the default executor"
        prefix = executor_state.name_prefix(self._executor)
        return f"the executor {prefix}" if prefix else "an executor"

    def most(self) -> int:
        return executor_state.most_workers(self._executor)

    def at_work(self) -> int:
        return executor_state.threads(self._executor) - executor_state.idle_threads(self._executor)

    def is_full(self, frames: Frames) -> bool:
        if (known := executor_state.is_full(self._executor)) is not None:
            return known
        found = frames()
        return not any(executor_state.is_idle(found.get(ident)) for ident in self._idents())

    def queued(self) -> int:
        return executor_state.queued(self._executor)

    def calls(self) -> list[QueuedCall]:
        items = executor_state.queue_items(executor_state.queue_of(self._executor), INSPECTED)
        found = [(executor_state.future_of(item), item) for item in items]
        return [QueuedCall(future, item) for future, item in found if future is not None]

    def is_given_up(self, call: QueuedCall) -> bool:
        return executor_state.is_cancelled(call.key)

    def function_of(self, call: QueuedCall) -> Frame:
        return place_of(executor_state.function_of(call.item), executor_state.arguments_of(call.item))

    def askers(self, call: QueuedCall) -> Iterator[Task[Any]]:
        return _tasks_after(executor_state.callbacks_of(call.key))

    def is_awaited(self, call: QueuedCall) -> bool:
        return any(task_state.futures_in(callback) for callback in executor_state.callbacks_of(call.key))

    def work(self, frames: Frames) -> Iterator[PoolWork]:
        for ident in self._idents()[:LOOKED_AT]:
            frame = frames().get(ident)
            if (call := executor_state.running_call(frame)) is not None:
                asker = coroutine_of(next(_tasks_after(call.callbacks), None))
                waits_for = executor_state.awaited_result(frame)
                yield PoolWork(place_of(call.function, call.arguments), asker, stack_of(frame), waits_for)


class ServedQueue:
    """A thread that takes its calls, each with a future of a loop, from a queue of its own."""

    kind = "thread"

    def __init__(self, thread: threading.Thread, queue: object) -> None:
        self.key = id(queue)
        self._thread = thread
        self._queue = queue

    def name(self, _loops: Iterable[AbstractEventLoop]) -> str:
        return f"thread {self._thread.name}"

    def most(self) -> int:
        return 1

    def at_work(self) -> int:
        return int(self.queued() > 0)

    def is_full(self, _frames: Frames) -> bool:
        # Whether the thread is at work shows only in what waits behind it.
        return self.queued() > 0

    def queued(self) -> int:
        return executor_state.queue_length(self._queue)

    def calls(self) -> list[QueuedCall]:
        calls = []
        for item in executor_state.queue_items(self._queue, INSPECTED):
            future = next((p for p in item if isinstance(p, Future)), None) if type(item) is tuple else None
            if future is not None:
                calls.append(QueuedCall(future, item))
        return calls

    def is_given_up(self, call: QueuedCall) -> bool:
        return executor_state.is_cancelled(call.key)

    def function_of(self, call: QueuedCall) -> Frame:
        return place_of(next((part for part in call.item if part is not call.key and callable(part)), None))

    def askers(self, call: QueuedCall) -> Iterator[Task[Any]]:
        return identity.waiters_of(call.key)

    def is_awaited(self, _call: QueuedCall) -> bool:
        return True

    def work(self, frames: Frames) -> Iterator[PoolWork]:
        if (frame := frames().get(self._thread.ident or 0)) is not None:
            yield PoolWork(UNKNOWN, UNKNOWN, stack_of(frame), executor_state.awaited_result(frame))


class TokenPool:
    """A capacity limiter of AnyIO: it lends as many tokens as threads may work at the same time."""

    kind = "limiter"

    def __init__(self, limiter: object, *, is_default: bool) -> None:
        self.key = id(limiter)
        self._limiter = limiter
        self._is_default = is_default

    def name(self, _loops: Iterable[AbstractEventLoop]) -> str:
        return "AnyIO's default limiter" if self._is_default else "a limiter of AnyIO"

    def most(self) -> int:
        tokens = limiter_state.tokens(self._limiter)
        return int(tokens) if tokens < 1e9 else 0

    def at_work(self) -> int:
        return len(limiter_state.borrowers(self._limiter))

    def is_full(self, _frames: Frames) -> bool:
        return self.at_work() >= limiter_state.tokens(self._limiter)

    def queued(self) -> int:
        return len(limiter_state.waiting(self._limiter))

    def holders(self) -> set[int]:
        """The ids of what holds its tokens."""
        return set(map(id, limiter_state.borrowers(self._limiter)))

    def calls(self) -> list[QueuedCall]:
        waiting = islice(limiter_state.waiting(self._limiter), INSPECTED)
        return [QueuedCall(task, None) for task in waiting if isinstance(task, Task)]

    def is_given_up(self, call: QueuedCall) -> bool:
        return bool(call.key.done())

    def function_of(self, call: QueuedCall) -> Frame:
        return place_of(*limiter_state.call_of(call.key)[:2])

    def askers(self, call: QueuedCall) -> Iterator[Task[Any]]:
        yield call.key

    def is_awaited(self, call: QueuedCall) -> bool:
        # A limiter may also bound coroutines, which are no work for a thread.
        return limiter_state.call_of(call.key)[0] is not None

    def work(self, frames: Frames) -> Iterator[PoolWork]:
        for task in limiter_state.borrowers(self._limiter)[:LOOKED_AT]:
            function, arguments, worker = limiter_state.call_of(task)
            frame = frames().get(getattr(worker, "ident", None) or 0)
            # The loop takes the token back: one that is blocked does not, though the thread has ended.
            if function is not None and frame is not None and not limiter_state.is_idle(frame):
                waits_for = executor_state.awaited_result(frame)
                yield PoolWork(place_of(function, arguments), coroutine_of(task), stack_of(frame), waits_for)


Pool = ExecutorPool | ServedQueue | TokenPool


def place_of(function: Any, arguments: Iterable[object] = ()) -> Frame:
    """The function that a call runs, at its first line; one in C has a name only.

    It is that of the program where code of a library is submitted that calls it: in a partial, a context, or
    as an argument.
    """
    held = list(arguments)
    for _ in range(WRAPPERS):
        while issubclass(type(function), partial):
            held += [*function.args, *function.keywords.values()]
            function = function.func
        inner = next(
            (one for one in held if issubclass(type(one), (FunctionType, MethodType, partial))), None
        )
        code = getattr(function, "__code__", None)
        if inner is None or (code is not None and not code.co_filename.startswith(_libraries())):
            break
        function, held = inner, []
    if function is None:
        return UNKNOWN
    if code is None:
        return Frame("", 0, identity.full_name_of(function))
    return Frame(code.co_filename, code.co_firstlineno, code.co_qualname)


def coroutine_of(task: Task[Any] | None) -> Frame:
    """The coroutine of a task at its first line; without a name if it is not known."""
    code = getattr(task_state.work_of(task), "cr_code", None) if task is not None else None
    return Frame(code.co_filename, code.co_firstlineno, code.co_qualname) if code is not None else UNKNOWN


def _tasks_after(callbacks: Iterable[object]) -> Iterator[Task[Any]]:
    """The tasks that await the futures of a loop which these callbacks of a call set."""
    for callback in callbacks:
        for future in task_state.futures_in(callback):
            yield from identity.waiters_of(future)
