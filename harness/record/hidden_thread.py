"""A thread that the program around it does not see: who waits for all of `threading.enumerate` is not kept.

It ends with the process at the latest, as a daemon thread does. What runs in it must not call
`threading.current_thread`, which would make an entry for it where the others stand. To tell of what goes
wrong is for the work itself: what it raises is dropped, or the program's own hooks would be told of it.
"""

from __future__ import annotations

import _thread
import os
from collections.abc import Callable
from contextlib import suppress

_alive: set[tuple[int, int]] = set()


class Background:
    """Runs *work* from now on, in a thread of its own."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._running = _thread.allocate_lock()
        self._running.acquire()
        # Here, not when it begins: on a busy machine that may be after a fork that asks for `alive`.
        _alive.add((os.getpid(), id(self)))
        _thread.start_new_thread(self._run, (work,))

    def join(self, *, timeout_s: float = -1) -> bool:
        """Wait until the work is done, for ever without a time; false when it took longer than that."""
        done = self._running.acquire(timeout=timeout_s)
        if done:
            self._running.release()
        return done

    def _run(self, work: Callable[[], object]) -> None:
        try:
            with suppress(Exception):
                work()
        finally:
            _alive.discard((os.getpid(), id(self)))
            self._running.release()


def alive() -> int:
    """How many of these threads this process has."""
    # A child after `fork` inherits the entries, but not the threads.
    return sum(pid == os.getpid() for pid, _ in tuple(_alive))
