"""Why a loop got no processor: by what the runner saw of its process around that time."""

from __future__ import annotations

from enum import StrEnum

from ...record.event import Blocked, LoopSampled
from ..history import History


class Starvation(StrEnum):
    """A few words for the report."""

    STOPPED = "stopped by a signal"
    THROTTLED = "throttled by its cgroup"
    BUSY = "the machine was busy"


def why(turn: Blocked, history: History) -> Starvation:
    """What kept the thread of a late turn from running, which could have run."""
    seen = [
        sample for sample in history.of(LoopSampled) if (sample.pid, sample.loop) == (turn.pid, turn.loop)
    ]
    ended_ns = turn.at_ns + turn.held_ns
    if any(sample.stopped for sample in seen if turn.at_ns <= sample.at_ns <= ended_ns):
        return Starvation.STOPPED
    # At the beginning and at the end of the program nobody may have come to look just then.
    before = next((sample for sample in reversed(seen) if sample.at_ns <= turn.at_ns), *seen[:1] or (None,))
    after = next((sample for sample in seen if sample.at_ns >= ended_ns), *seen[-1:] or (None,))
    if before and after and after.throttled_ns > before.throttled_ns:
        return Starvation.THROTTLED
    return Starvation.BUSY
