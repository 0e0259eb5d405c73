"""Blocking calls in threads, with the caller's context: synchronous code made asyncio-friendly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A bounded pool of threads.

    Not `asyncio.to_thread`: that uses the loop's own pool, and the loop does not close before every thread
    in it has returned. One client library that hangs would then hold the exit for ever.
    """

    def __init__(self, limit: int) -> None:
        self._executor = ThreadPoolExecutor(limit, thread_name_prefix="mayhem-blocking")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a thread. A cancelled wait leaves the thread to its call: nothing can end it."""
        # `run_in_executor` alone drops the context, and with it the current span.
        context = copy_context()
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: context.run(call, *args, **kwargs)
        )
