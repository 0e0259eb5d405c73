"""What proves that a loop's thread was ready to run, but did not get the processor.

The kernel counts the time that a thread waits in the run queue. It counts neither the time that a process is
stopped or frozen, nor that its cgroup is throttled, nor what a hypervisor took: a runner sees these from
outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..record.observation import Blocked


class Starvation(StrEnum):
    """Why a process got no processor."""

    STOPPED = "stopped by a signal"
    FROZEN = "frozen by its cgroup"
    THROTTLED = "throttled by its cgroup"
    STOLEN = "the host took the processor"
    BUSY = "the machine was busy"


@dataclass(frozen=True, slots=True)
class ProcessorLoss:
    """The time of a late turn for which it is proven that the loop's thread had no processor."""

    why: Starvation
    asleep_ns: int  # while the loop was due to wake up
    awake_ns: int  # afterwards
    starting_ns: int = 0  # by which new threads of the process were late, at least

    @property
    def whole_ns(self) -> int:
        """Of the whole turn."""
        return self.asleep_ns + self.awake_ns


def queued(turn: Blocked) -> ProcessorLoss:
    """What the thread itself waited for a processor."""
    # A turn that is still late may have been measured before it was known when its loop woke up.
    late_ns = min(max(0, turn.woke_ns - turn.at_ns), turn.held_ns) if turn.woke_ns else 0
    asleep_ns = min(turn.woke_queued_ns or 0, late_ns)
    if turn.whole_queued_ns is not None:
        awake_ns = turn.whole_queued_ns - (turn.woke_queued_ns or 0)
    else:  # since the first sample only
        awake_ns = turn.queued_ns or 0
    awake_ns = min(max(0, awake_ns), turn.held_ns - late_ns)
    return ProcessorLoss(Starvation.BUSY, asleep_ns, awake_ns, turn.watcher_queued_ns)
