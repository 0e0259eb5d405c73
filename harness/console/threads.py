"""The console's threads: invisible to the program's `threading`, with their CPU time counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..probe.hooks.state.thread_state import forget_this_thread
from ..record.hidden_thread import Background


class ConsoleThreads:
    """Starts threads and counts their CPU time, including that of ended ones."""

    def __init__(self, on_error: Callable[[str, BaseException], None]) -> None:
        self._on_error = on_error
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._ended_ns = 0

    def start(self, work: Callable[[], object]) -> None:
        """Run *work* in a new thread; an exception is recorded as a failure of the probe."""
        Background(lambda: self._run(work), runs_program=True)

    def cpu_ns(self) -> int:
        """The CPU time of all threads so far."""
        # No thread ends while the lock is held: the clock of an ended one cannot be read.
        with self._lock:
            clocks = map(time.pthread_getcpuclockid, self._running)
            return self._ended_ns + sum(map(time.clock_gettime_ns, clocks))

    def _run(self, work: Callable[[], object]) -> None:
        ident = threading.get_ident()
        with self._lock:
            self._running.add(ident)
        try:
            work()
        except Exception as exc:
            self._on_error("console", exc)
        finally:
            with self._lock:
                self._running.remove(ident)
                self._ended_ns += time.thread_time_ns()
            forget_this_thread()
