"""Reads what `concurrent.futures` keeps about its executors in private attributes.

Its modules know the threads of all executors. Nothing is imported here that the program has not imported.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, NamedTuple

from ..runtime import work_of

# The function of a pool's thread that waits for calls, and the method that runs one.
WAITS, RUNS = "_worker", "_WorkItem.run"


class PoolCall(NamedTuple):
    """A call that a thread of a pool runs now."""

    function: Any
    callbacks: Sequence[Callable[..., object]]  # of its future


class ProcessPool(NamedTuple):
    """A `ProcessPoolExecutor`, which may have been shut down."""

    executor: Any  # `None` once it is shut down
    manager: str  # the name of its thread
    pending: int  # calls that have not ended
    processes: int
    most: int | None  # processes


def pool_threads() -> Iterator[tuple[threading.Thread, Any]]:
    """Each thread of a `ThreadPoolExecutor`, with its executor."""
    module = sys.modules.get("concurrent.futures.thread")
    for thread in list(module._threads_queues) if module is not None else ():
        # An ended thread has dropped its arguments.
        arguments = getattr(thread, "_args", None) or (lambda: None,)
        if (executor := arguments[0]()) is not None:
            yield thread, executor


def queued(executor: Any) -> int:
    """The number of calls that wait for a thread."""
    return int(executor._work_queue.qsize())


def threads(executor: Any) -> int:
    """The number of threads that an executor has started."""
    return len(executor._threads)


def most_workers(executor: Any) -> int:
    """The maximum number of threads or processes of an executor."""
    return int(executor._max_workers)


def running_call(frame: FrameType | None) -> PoolCall | None:
    """The call that the thread with this innermost frame runs; `None` for an idle thread."""
    while frame is not None:
        if frame.f_code.co_qualname == RUNS:
            # Up to Python 3.12, this keeps a copy of this one name alive until the call ends.
            item = frame.f_locals.get("self")
            return PoolCall(work_of(item), list(item.future._done_callbacks)) if item is not None else None
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
