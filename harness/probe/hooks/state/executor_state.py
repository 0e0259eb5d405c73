"""Reads what `concurrent.futures` keeps about its executors in private attributes.

Its modules know the threads of all executors. Nothing is imported here that the program has not imported.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from queue import Queue, SimpleQueue
from types import FrameType
from typing import Any

from ....record.value import Row
from ..runtime import arguments_of_work, counts_busy_threads_as_idle, work_of

# The function of a pool's thread that waits for calls, and the method that runs one.
WAITS, _RUNS = "_worker", "_WorkItem.run"
# Of a longer queue, the calls are only counted: it is listed in one step of the interpreter, which takes
# milliseconds.
LONGEST = 250_000


class PoolCall(Row):
    """A call that a thread of a pool runs now."""

    function: Any
    callbacks: Sequence[Callable[..., object]]  # of its future
    arguments: Sequence[object] = ()


class ProcessPool(Row):
    """A `ProcessPoolExecutor`, which may have been shut down."""

    executor: Any  # `None` once it is shut down
    manager: str  # the name of its thread
    pending: int  # calls that have not ended
    processes: int
    most: int | None  # processes


def pool_threads() -> Iterator[tuple[threading.Thread, Any]]:
    """Each thread of a `ThreadPoolExecutor`, with its executor."""
    module = sys.modules.get("concurrent.futures.thread")
    # Copied in one step of the interpreter, during which no other thread can change it.
    for known in list(module._threads_queues.data) if module is not None else ():
        if (thread := known()) is None:
            continue
        # An ended thread has dropped its arguments.
        arguments = getattr(thread, "_args", None) or (lambda: None,)
        if (executor := arguments[0]()) is not None:
            yield thread, executor


def thread_count() -> int:
    """About how many threads all executors have started; 0 before the first one."""
    module = sys.modules.get("concurrent.futures.thread")
    return len(module._threads_queues) if module is not None else 0


def queued(executor: Any) -> int:
    """The number of calls that wait for a thread."""
    return queue_length(executor._work_queue)


def queue_length(queue: object) -> int:
    """The number of items in a queue of `queue`, without the lock that a thread may hold."""
    if isinstance(queue, SimpleQueue):
        return queue.qsize()
    return len(getattr(queue, "queue", ()))


def queue_items(queue: object, most: int) -> list[Any]:
    """The first items of a queue of `queue`, oldest first; of a priority queue in any order.

    None of a queue that is too long to be read at once.
    """
    if queue_length(queue) > LONGEST:
        return []
    if not isinstance(queue, SimpleQueue):
        held = getattr(queue, "queue", ())
        return list(islice(held, most)) if isinstance(held, (deque, list)) else []
    # In C, it shows no item. Until Python 3.12 it refers to a list of them, in which those taken are `None`.
    held = gc.get_referents(queue)
    inner = held[0] if held and type(held[0]) is list else held
    waiting = (item for item in list(inner) if item is not None and not isinstance(item, type))
    return list(islice(waiting, most))


def queue_of(executor: Any) -> Any:
    """The queue of an executor's calls."""
    return executor._work_queue


def is_full(executor: Any) -> bool | None:
    """Whether all threads that an executor may have are at work; `None` if their stacks have to tell."""
    if threads(executor) < most_workers(executor):
        return False
    if queued(executor) or not idle_threads(executor):
        return True
    return None if counts_busy_threads_as_idle() else False


def idle_threads(executor: Any) -> int:
    """The number of threads that wait for a call; Python 3.11 also counts some that are at work."""
    return int(executor._idle_semaphore._value)


def is_idle(frame: FrameType | None) -> bool:
    """Whether the thread of a pool with this innermost frame waits for a call."""
    return frame is None or frame.f_code.co_name == WAITS


def name_prefix(executor: Any) -> str:
    """How the names of an executor's threads begin."""
    return str(executor._thread_name_prefix)


def is_default_of(executor: object, loop: object) -> bool:
    """Whether *executor* is the one that *loop* made, or was given, for calls without an executor."""
    if hasattr(loop, "_default_executor"):
        return loop._default_executor is executor
    return any(held is executor for held in gc.get_referents(loop))  # uvloop shows no attribute


def future_of(item: object) -> Any:
    """The future of a call in an executor's queue; `None` for the signal that ends a thread."""
    return getattr(item, "future", None)


def function_of(item: object) -> Any:
    """The function of a call in an executor's queue."""
    return work_of(item)


def arguments_of(item: object) -> list[object]:
    """What that function is called with."""
    return arguments_of_work(item)


def is_cancelled(future: object) -> bool:
    """Whether the future of a call is cancelled; without its lock."""
    return str(getattr(future, "_state", "")).startswith("CANCELLED")


def callbacks_of(future: object) -> Sequence[Callable[..., object]]:
    """What is called when the future of a call is done."""
    return tuple(getattr(future, "_done_callbacks", ()))


def queues_of(thread: threading.Thread) -> Iterator[object]:
    """The queues that a thread of the program has as attributes, or was started with."""
    arguments = getattr(thread, "_args", None) or ()  # dropped when the thread ends
    for held in (*list(vars(thread).values()), *arguments):
        if type(held) in (SimpleQueue, Queue):
            yield held


def awaited_result(frame: FrameType | None) -> object:
    """The future for whose result the thread with this innermost frame waits; `None` if it does not."""
    for _ in range(3):  # `Future.result`, and the functions of its condition
        if frame is None:
            return None
        if frame.f_code.co_qualname == "Future.result" and "concurrent" in frame.f_code.co_filename:
            # Up to Python 3.12, this keeps a copy of this one name alive until the call ends.
            return frame.f_locals.get("self")
        frame = frame.f_back
    return None


def chained_to(callback: object) -> list[Any]:
    """The futures of `concurrent.futures`, for other threads, that a callback of a task or future sets."""
    cells = getattr(callback, "__closure__", None) or ()
    return [cell.cell_contents for cell in cells if hasattr(_content(cell), "_done_callbacks")]


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def threads(executor: Any) -> int:
    """The number of threads that an executor has started."""
    return len(executor._threads)


def most_workers(executor: Any) -> int:
    """The maximum number of threads or processes of an executor."""
    return int(executor._max_workers)


def running_call(frame: FrameType | None) -> PoolCall | None:
    """The call that the thread with this innermost frame runs; `None` for an idle thread."""
    while frame is not None:
        if frame.f_code.co_qualname == _RUNS:
            # Up to Python 3.12, this keeps a copy of this one name alive until the call ends.
            item = frame.f_locals.get("self")
            if item is None:
                return None
            return PoolCall(work_of(item), list(item.future._done_callbacks), arguments_of(item))
        frame = frame.f_back
    return None


def process_pools() -> Iterator[ProcessPool]:
    """Every `ProcessPoolExecutor` whose managing thread runs."""
    module = sys.modules.get("concurrent.futures.process")
    for manager in list(module._threads_wakeups) if module is not None else ():
        executor = manager.executor_reference()
        most = most_workers(executor) if executor is not None else None
        pending = len(manager.pending_work_items)
        yield ProcessPool(executor, manager.name, pending, len(manager.processes), most)


def chains_to_thread(callback: object) -> bool:
    """Whether a callback of an asyncio future cancels the future of an executor's call."""
    return getattr(callback, "__name__", "") == "_call_check_cancel"
