"""Waits that can be interrupted, and calls that a cancellation must not interrupt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, TypeVar

from .errors import LeaseLostError, StorageError

T = TypeVar("T")

# Interval at which tasks that are still running are cancelled again.
AGAIN_S = 0.1
# Upper bound on finishing a call whose caller was cancelled, so that the service's own end is bounded.
FINISH_S = 5.0


class Interruptible:
    """Any number of waits that can be ended together, once.

    A wait costs no task, because some waits begin for every message.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._open: set[asyncio.Timeout] = set()

    async def wait(self, work: Awaitable[T]) -> T | None:
        """Return the result of *work*; when interrupted, cancel *work* and return None.

        Only for work that may be cancelled at any point.
        """
        wait = asyncio.timeout(0 if self.interrupted else None)
        try:
            async with wait:
                self._open.add(wait)
                return await work
        except TimeoutError:
            if not wait.expired():
                raise
            return None
        finally:
            self._open.discard(wait)

    def interrupt(self) -> None:
        """End all open and all future waits. Never fails, so signal handlers may call it."""
        if not self.interrupted:
            self.interrupted = True
            for wait in self._open:
                wait.reschedule(0)


async def cancel_and_wait(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel the tasks until all have ended.

    One cancellation is not enough for an endless task that calls a library: before Python 3.12,
    `asyncio.wait_for` swallows a cancellation that arrives together with the result.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_S)


async def finish_despite_cancel(call: Coroutine[Any, Any, None], *, finish_s: float = FINISH_S) -> None:
    """Await *call* to its end even if the caller is cancelled; the cancellation is raised afterwards.

    `asyncio.shield` alone would return to the caller at once and leave a task without an owner.

    Args:
        finish_s: Time limit from the first cancellation; *call* is then cancelled, too.
    """
    task = asyncio.create_task(call)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError as exc:
        cancelled = exc
    else:
        return
    if not await _finished(task, finish_s):
        cancelled.add_note(f"and meanwhile: not finished within {finish_s:g} s")
    elif not task.cancelled() and (error := task.exception()) is not None:
        cancelled.add_note(f"and meanwhile: {type(error).__name__}: {error}")
    raise cancelled


async def take_or_undo(take: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[None]]) -> T:
    """Return the result of *take*; if cancelled, let *take* finish and undo it.

    Cancelling *take* itself would leave its messages leased without a consumer: the broker has already
    handed them out when the answer is discarded.
    """
    taking = asyncio.create_task(take)

    async def undo_taken() -> None:
        await undo(await taking)

    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError as cancelled:
        try:
            await finish_despite_cancel(undo_taken())
        except (LeaseLostError, StorageError) as exc:
            cancelled.add_note(f"and meanwhile: {type(exc).__name__}: {exc}")
        raise


async def _finished(task: asyncio.Task[None], within_s: float) -> bool:
    """Whether the task ended by itself within that time; on return it has ended in any case."""
    deadline = time.monotonic() + within_s
    in_time = True
    while not task.done():
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            in_time = False
            task.cancel()
        try:
            await asyncio.wait({task}, timeout=max(left_s, 0) or None)
        except asyncio.CancelledError:
            continue  # the first cancellation is raised by the caller
    return in_time
