"""Releases the GIL in the middle of long work, so that the console's work does not delay the loops.

Python takes the GIL away from a computing thread only after 5 ms, and a loop needs it in each of its turns.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from ..record.clock import monotonic

T = TypeVar("T")

HELD_S = 0.0005
# Longer than another thread takes to wake up; a shorter sleep would give it no chance.
PAUSE_S = 0.0002
# Items between two readings of the clock.
BATCH = 16


class GilYielder:
    """Yields the GIL of one thread, which calls `maybe_yield` often while it works."""

    def __init__(self) -> None:
        self._since_s = monotonic()

    def maybe_yield(self) -> None:
        """Release the GIL for a moment if this thread has held it for `HELD_S`."""
        if monotonic() - self._since_s >= HELD_S:
            time.sleep(PAUSE_S)
            self._since_s = monotonic()


def yielding(items: Iterable[T]) -> Iterator[T]:
    """*items*, with pauses in between.

    Not for tasks: during a pause the caller still refers to one, and if that is the last reference, the
    task's finalizer runs in the wrong thread. See `task_table.walk`.
    """
    gil = GilYielder()
    for index, item in enumerate(items):
        if index % BATCH == 0:
            gil.maybe_yield()
        yield item
