"""Runs blocking calls in threads, with the caller's context."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class ThreadPool:
    """A bounded pool of threads that reports its queue.

    The queue is bounded by the callers: the consumer makes one call per message in flight.

    `asyncio.to_thread` uses the loop's own pool, and the loop does not close until every thread in it has
    returned: one client library that hangs would prevent the exit.
    """

    def __init__(self, limit: int) -> None:
        self._executor = ThreadPoolExecutor(limit, thread_name_prefix="mayhem-blocking")
        # By call: when it began to wait, on the monotonic clock. Single operations on dictionaries and sets
        # are atomic, so any thread may change them.
        self._waiting: dict[object, float] = {}
        self._busy: set[object] = set()

    @property
    def waiting(self) -> int:
        """Number of calls that wait for a thread. Safe to read from any thread, like the next two."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """Number of threads in a call, including calls whose caller was cancelled."""
        return len(self._busy)

    @property
    def oldest_wait_s(self) -> float:
        """Seconds that the first call in the queue has waited; 0 for an empty queue."""
        since = min(list(self._waiting.values()), default=None)
        return 0.0 if since is None else time.monotonic() - since

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a thread and return the result.

        If the caller is cancelled, the call goes on in its thread, because nothing can end it. An exception
        it then raises goes to the loop's exception handler.
        """
        # The thread's own context has no current span.
        context = copy_context()
        ticket = object()

        def call_in_context() -> T:
            self._waiting.pop(ticket, None)
            self._busy.add(ticket)
            try:
                return context.run(call, *args, **kwargs)
            finally:
                self._busy.discard(ticket)

        loop = asyncio.get_running_loop()

        def report(abandoned: Future[T]) -> None:
            if not abandoned.cancelled() and (error := abandoned.exception()) is not None:
                message = "a call in a thread failed after its caller was cancelled"
                details = {"message": message, "exception": error}
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(loop.call_exception_handler, details, context=context)

        self._waiting[ticket] = time.monotonic()
        future = self._executor.submit(call_in_context)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            future.add_done_callback(report)
            raise
        finally:
            # A call that was cancelled in the queue never starts.
            self._waiting.pop(ticket, None)
