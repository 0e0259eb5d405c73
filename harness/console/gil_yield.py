"""Gives the GIL away in the middle of long work, so that the work of a console is no lag of a loop.

Python takes the GIL from a thread that computes only after 5 ms, and a loop asks for it in each of its turns.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from ..record.clock import monotonic

T = TypeVar("T")

HELD_S = 0.0005
# A sleep that is shorter than the wake-up of another thread takes would give it no chance.
PAUSE_S = 0.0002
# Between two looks at the clock.
AT_ONCE = 16


class GilYielder:
    """What one thread calls again and again while it works."""

    def __init__(self) -> None:
        self._since_s = monotonic()

    def give_way(self) -> None:
        """Let others have the GIL, if it was held for long enough."""
        if monotonic() - self._since_s >= HELD_S:
            time.sleep(PAUSE_S)
            self._since_s = monotonic()


def yielding(things: Iterable[T]) -> Iterator[T]:
    """*things*, with pauses in between.

    Not for tasks: whoever loops over them holds one during the pause, and drops it last perhaps, which runs
    its finalizer in the wrong thread. See `tasktable.walk`.
    """
    courtesy = GilYielder()
    for index, thing in enumerate(things):
        if index % AT_ONCE == 0:
            courtesy.give_way()
        yield thing
