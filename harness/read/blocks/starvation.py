"""Why a loop got no processor, from the runner's samples of its process around that time."""

from __future__ import annotations

from enum import StrEnum

from ...record.event import Blocked, LoopSampled
from ..history import History


class Starvation(StrEnum):
    """Why a process got no processor."""

    STOPPED = "stopped by a signal"
    THROTTLED = "throttled by its cgroup"
    BUSY = "the machine was busy"


def why(turn: Blocked, history: History) -> Starvation:
    """Why the thread of a late turn was runnable but did not run."""
    samples = [s for s in history.of(LoopSampled) if (s.pid, s.loop) == (turn.pid, turn.loop)]
    ended_ns = turn.at_ns + turn.held_ns
    if any(sample.stopped for sample in samples if turn.at_ns <= sample.at_ns <= ended_ns):
        return Starvation.STOPPED
    # At the start and the end of the program there may be no sample on one side.
    before = next((s for s in reversed(samples) if s.at_ns <= turn.at_ns), *samples[:1] or (None,))
    after = next((s for s in samples if s.at_ns >= ended_ns), *samples[-1:] or (None,))
    if before and after and after.throttled_ns > before.throttled_ns:
        return Starvation.THROTTLED
    return Starvation.BUSY
