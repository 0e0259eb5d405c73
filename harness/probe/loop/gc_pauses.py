"""Notes the runs of the garbage collector that take long: a pause of every thread that no stack shows."""

from __future__ import annotations

import gc
from collections import deque

from ...record.clock import monotonic_ns
from ...record.observation import GcPause

# Shorter ones are not what makes a loop late.
LEAST_NS = 5_000_000
KEPT = 64


class GcPauses:
    """The latest long pauses of this process."""

    def __init__(self) -> None:
        self._pauses: deque[GcPause] = deque(maxlen=KEPT)
        self._began_ns = 0

    def install(self) -> None:
        """Listen from now on."""
        gc.callbacks.append(self._called)

    def remove(self) -> None:
        """Listen no more."""
        if self._called in gc.callbacks:
            gc.callbacks.remove(self._called)

    def between(self, began_ns: int, ended_ns: int) -> tuple[GcPause, ...]:
        """The pauses in that time, oldest first."""
        return tuple(pause for pause in self._pauses if began_ns <= pause.at_ns < ended_ns)

    def _called(self, phase: str, info: dict[str, int]) -> None:
        # Runs for each collection, the smallest too: as short as it can be.
        now_ns = monotonic_ns()
        if phase == "start":
            self._began_ns = now_ns
        elif now_ns - self._began_ns >= LEAST_NS:
            held_ns = now_ns - self._began_ns
            self._pauses.append(GcPause(self._began_ns, held_ns, info["generation"], info["collected"]))
