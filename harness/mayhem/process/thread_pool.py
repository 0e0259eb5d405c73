"""Blocking calls in threads, with the caller's context: synchronous code made asyncio-friendly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class ThreadPool:
    """A bounded pool of threads, and how long the queue before it is.

    The queue is bounded by those who call: the consumer calls once for each message in hand.

    Not `asyncio.to_thread`: that uses the loop's own pool, and the loop does not close before every thread
    in it has returned. One client library that hangs would then hold the exit for ever.
    """

    def __init__(self, limit: int) -> None:
        self._executor = ThreadPoolExecutor(limit, thread_name_prefix="mayhem-blocking")
        # By call: since when it waits, on the monotonic clock. Dictionaries and sets may be changed by any
        # thread, one operation at a time.
        self._waiting: dict[object, float] = {}
        self._busy: set[object] = set()

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread. To be read from any thread, as the next two."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """How many threads are in a call, whether somebody still waits for it or not."""
        return len(self._busy)

    @property
    def oldest_wait_s(self) -> float:
        """How long the first in the queue has waited; 0 for an empty queue."""
        since = min(list(self._waiting.values()), default=None)
        return 0.0 if since is None else time.monotonic() - since

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a thread.

        A cancelled wait leaves the thread to its call: nothing can end it. What it raises then is reported to
        the loop's exception handler, for nobody else would hear of it.
        """
        # A thread has a context of its own, without the current span.
        context = copy_context()
        ticket = object()

        def carry_out() -> T:
            self._waiting.pop(ticket, None)
            self._busy.add(ticket)
            try:
                return context.run(call, *args, **kwargs)
            finally:
                self._busy.discard(ticket)

        loop = asyncio.get_running_loop()

        def report(abandoned: Future[T]) -> None:
            if not abandoned.cancelled() and (error := abandoned.exception()) is not None:
                complaint = {
                    "message": "a call in a thread failed, and its caller was gone",
                    "exception": error,
                }
                with suppress(RuntimeError):  # the loop is gone, too
                    loop.call_soon_threadsafe(loop.call_exception_handler, complaint, context=context)

        self._waiting[ticket] = time.monotonic()
        future = self._executor.submit(carry_out)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            future.add_done_callback(report)
            raise
        finally:
            # Cancelled before its turn, it will never have one.
            self._waiting.pop(ticket, None)
