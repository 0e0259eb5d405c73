"""`pool.executor_exhaust`: every thread of the default executor is at work."""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import Effect, Resolve, parameter
from ..running_loop import is_in_loop, running_loop


@dataclass(frozen=True, slots=True)
class PoolExecutorExhaust:
    """The call gives the loop's default executor as much work as it has threads, which only waits."""

    shows: ClassVar[str] = "calls that stand in the executor's queue: `to_thread`, name look-ups, files"

    hold_ms: float = parameter(float, "How long each thread is held.", above=0, typical=1000.0)

    def describe(self) -> str:
        return f"holds every thread of the default executor for {self.hold_ms:g} ms"

    def prepare(self, resolve: Resolve) -> Effect:
        over = threading.Event()
        return Effect(functools.partial(_hold, over, self.hold_ms / 1e3), fits=is_in_loop, release=over.set)


def _hold(over: threading.Event, for_s: float) -> None:
    loop = running_loop()
    loop.run_in_executor(None, over.wait, for_s)
    # Only now has a loop that had none its executor.
    pool = getattr(loop, "_default_executor", None)
    if isinstance(pool, ThreadPoolExecutor):
        for _ in range(pool._max_workers - 1):
            loop.run_in_executor(None, over.wait, for_s)


KIND = PoolExecutorExhaust
