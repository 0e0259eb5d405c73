"""The console's threads: raw ones, which the program does not see, and the CPU time of all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..record.hidden_thread import Background


class ConsoleThreads:
    """Starts threads, and counts their CPU time, also of those that have ended."""

    def __init__(self, on_error: Callable[[str, BaseException], None]) -> None:
        self._on_error = on_error
        self._lock = threading.Lock()
        self._at_work: set[int] = set()
        self._ended_ns = 0

    def start(self, work: Callable[[], object]) -> None:
        """Run *work* in a thread of its own; what it raises is put down as the probe's failure."""
        Background(lambda: self._run(work))

    def cpu_ns(self) -> int:
        """The CPU time of all of them so far."""
        # With the lock, none of them ends: a thread that is gone has no clock to read.
        with self._lock:
            clocks = map(time.pthread_getcpuclockid, self._at_work)
            return self._ended_ns + sum(map(time.clock_gettime_ns, clocks))

    def _run(self, work: Callable[[], object]) -> None:
        ident = threading.get_ident()
        with self._lock:
            self._at_work.add(ident)
        try:
            work()
        except Exception as exc:
            self._on_error("console", exc)
        finally:
            with self._lock:
                self._at_work.remove(ident)
                self._ended_ns += time.thread_time_ns()
            forget_thread()


def forget_thread() -> None:
    """Take this thread off the list that the program sees, if something has put it there.

    `threading.current_thread` does, and so does whoever writes to a log.
    """
    threading._active.pop(threading.get_ident(), None)  # type: ignore[attr-defined]
