"""Reads what AnyIO keeps about its worker threads and capacity limiters on asyncio.

Nothing is imported here that the program has not imported. Other versions may lack any of these: each
function then returns an empty result.
"""

from __future__ import annotations

import sys
from asyncio import Task
from collections.abc import Iterator
from types import FrameType
from typing import Any

from ...tasks.coroutine import code_of, frame_of, links

# The coroutine that runs a function in a worker thread, and the one in which it waits for a token.
_RUNS, _ACQUIRES = "run_sync_in_worker_thread", "acquire_on_behalf_of"


def is_used() -> bool:
    """Whether the program has imported AnyIO's backend for asyncio."""
    return "anyio._backends._asyncio" in sys.modules


def is_worker(thread: object) -> bool:
    """Whether *thread* is one of AnyIO's, which have a queue each, but wait for a limiter."""
    return type(thread).__module__.startswith("anyio.")


def is_idle(frame: FrameType) -> bool:
    """Whether the thread of AnyIO with this innermost frame waits for a call."""
    for _ in range(4):  # `Queue.get`, and the functions of its condition
        if frame.f_code.co_qualname == "Queue.get" and frame.f_back is not None:
            return frame.f_back.f_code.co_qualname == "WorkerThread.run"
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def limiters() -> Iterator[Any]:
    """The limiters that AnyIO keeps for its loops: the default one of each."""
    variables = getattr(sys.modules.get("anyio.lowlevel"), "_run_vars", None)
    for of_loop in list(getattr(variables, "data", {}).values()):
        for value in list(of_loop.values()) if isinstance(of_loop, dict) else ():
            if type(value).__name__ == "CapacityLimiter":
                yield value


def limiter_awaited_by(task: Task[Any]) -> Any:
    """The limiter for whose token a task waits, to call a function in a thread; `None` for none."""
    chain = _suspended(task)
    if not any(code_of(link).co_name == _RUNS for link in chain):
        return None
    for link in chain:
        frame = frame_of(link)
        if code_of(link).co_name == _ACQUIRES and frame is not None:
            return frame.f_locals.get("self")
    return None


def borrowers(limiter: object) -> list[Any]:
    """What holds its tokens: mostly tasks."""
    return list(getattr(limiter, "_borrowers", ()))


def waiting(limiter: object) -> list[Any]:
    """What waits for a token, oldest first: mostly tasks."""
    return list(getattr(limiter, "_wait_queue", ()))


def tokens(limiter: object) -> float:
    """How many it lends at most."""
    return float(getattr(limiter, "_total_tokens", 0))


def call_of(task: object) -> tuple[Any, tuple[object, ...], Any]:
    """The function that a task runs in a worker thread, or will, its arguments, and that thread.

    `None` for what is not known.
    """
    for link in _suspended(task):
        frame = frame_of(link)
        if code_of(link).co_name == _RUNS and frame is not None:
            held = frame.f_locals
            return held.get("func"), tuple(held.get("args", ())), held.get("worker")
    return None, (), None


def _suspended(task: object) -> list[Any]:
    """The coroutines of a task that waits; none of one that runs: its frames change meanwhile."""
    work = task.get_coro() if isinstance(task, Task) else None
    return [] if work is None or getattr(work, "cr_running", False) else links(work)
