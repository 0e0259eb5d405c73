"""Records long runs of the garbage collector: they pause every thread, and no stack shows them."""

from __future__ import annotations

import gc
from collections import deque

from ...record.clock import monotonic_ns
from ...record.observation import GcPause
from ..hooks.hook import Hook

# Shorter pauses do not make a loop late.
LEAST_NS = 5_000_000
KEPT = 64


class GcPauses:
    """The latest long pauses of this process."""

    def __init__(self) -> None:
        self._pauses: deque[GcPause] = deque(maxlen=KEPT)
        self._began_ns = 0
        self._hook = Hook("pauses of the collector")

    def install(self) -> None:
        """Begin to record."""
        self._hook.join(gc.callbacks, self._hook.guarded(self._called))

    def remove(self) -> None:
        """Stop recording."""
        self._hook.undo()

    def between(self, began_ns: int, ended_ns: int) -> tuple[GcPause, ...]:
        """The pauses that began within these times, oldest first."""
        return tuple(pause for pause in self._pauses if began_ns <= pause.at_ns < ended_ns)

    def _called(self, phase: str, info: dict[str, int]) -> None:
        # Runs at every collection, even the smallest, so it does as little as possible.
        now_ns = monotonic_ns()
        if phase == "start":
            self._began_ns = now_ns
        elif (held_ns := now_ns - self._began_ns) >= LEAST_NS:
            self._pauses.append(GcPause(self._began_ns, held_ns, info["generation"], info["collected"]))
