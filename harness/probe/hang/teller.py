"""Tells of a turn that does not end while it lasts, from the watchdog's thread.

The watchdog samples a late loop anyway, so a hang costs nothing to find: it is a stall that is still sampled
after a second. Only time in which the watchdog could sample counts. A process that was stopped for a minute
did not hang for a minute; and while code holds the GIL, the runner looks from outside instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...record.observation import HungProcessEnded, LoopHung, LoopReturned, Observation
from ...stacks.hang_exemption import STARVED_SHARE, at_debugger
from ..threads import usage
from . import evidence
from .limits import HangLimits

if TYPE_CHECKING:
    from ..loop.watchdog import Stall

EndProcess = Callable[[HungProcessEnded], object]


class HangTeller:
    """Tells of the hangs of one loop."""

    def __init__(
        self,
        number: int,
        limits: HangLimits,
        write: Callable[[Observation], object],
        end_process: EndProcess,
    ) -> None:
        """*end_process* is called in the watchdog's thread when the loop has not come back in time."""
        self._number = number
        self._limits = limits
        self._write = write
        self._end_process = end_process

    def is_due(self, stall: Stall, now_ns: int) -> bool:
        """Whether the stall has become long enough to be told, or to end the process."""
        if not self._is_due(stall, now_ns):
            return False
        if (used := stall.usage) is not None and (now := usage.usage(stall.native_thread_id)) is not None:
            stall.starved_ns = now.queued_ns - used.queued_ns
            if not self._is_due(stall, now_ns):
                return False
        if stall.samples and at_debugger(stall.samples[-1].stack):
            # The time until now does not count; a program that goes on may still hang afterwards.
            stall.unwatched_ns = now_ns - stall.began_ns
            return False
        return True

    def tell(self, stall: Stall, now_ns: int) -> None:
        """Tell of the stall, after its `Blocked` has been written."""
        held_ns = now_ns - stall.began_ns
        if self._is_due_to_tell(stall, now_ns):
            while self._is_due_to_tell(stall, now_ns):
                stall.told += 1
            self._write(LoopHung(now_ns, os.getpid(), self._number, stall.began_ns, held_ns, "probe"))
        if self._is_due_to_end(stall, now_ns):
            limit_ns = self._limits.exit_ns
            self._end_process(evidence.of_process(self._number, stall.began_ns, now_ns, limit_ns))

    def over(self, stall: Stall, ended_ns: int) -> None:
        """Called on the loop's thread when the turn has ended."""
        if stall.told:
            held_ns = ended_ns - stall.began_ns
            self._write(LoopReturned(ended_ns, os.getpid(), self._number, stall.began_ns, held_ns))

    def _is_due(self, stall: Stall, now_ns: int) -> bool:
        return self._is_due_to_tell(stall, now_ns) or self._is_due_to_end(stall, now_ns)

    def _is_due_to_tell(self, stall: Stall, now_ns: int) -> bool:
        watched_ns, after_ns = now_ns - stall.began_ns - stall.unwatched_ns, self._limits.after_ns
        is_starved = max(stall.starved_ns, stall.delayed_ns) >= watched_ns * STARVED_SHARE
        return 0 < after_ns << stall.told <= watched_ns and not is_starved

    def _is_due_to_end(self, stall: Stall, now_ns: int) -> bool:
        # Only time in which both threads could run: the limit of a cgroup stops both again and again.
        lost_ns = max(stall.unwatched_ns, stall.starved_ns, stall.delayed_ns)
        exit_ns = self._limits.exit_ns
        return 0 < exit_ns <= now_ns - stall.began_ns - lost_ns
