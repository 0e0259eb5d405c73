"""Bounds what looks cost that come again and again, whatever there is to look at."""

from __future__ import annotations

from time import process_time_ns

from ..record.clock import monotonic_ns

# A process that uses less than one part in IDLE of a processor does nothing.
IDLE = 100
# All looks of one kind together take 1/REST of the time: a quarter of a percent of one processor.
REST = 400


class Pace:
    """When a kind of look may come again, by what those since it was made have cost."""

    __slots__ = ("_asked", "_began_ns", "_spent_ns")

    def __init__(self, *, allowance_ns: int) -> None:
        """The looks may cost *allowance_ns* of CPU time beyond their share."""
        self._began_ns = monotonic_ns()
        self._spent_ns = -allowance_ns
        self._asked = (self._began_ns, process_time_ns())

    def age_ns(self) -> int:
        """The time since the beginning."""
        return monotonic_ns() - self._began_ns

    def spend(self, cpu_ns: int) -> None:
        """Count what a look has cost."""
        self._spent_ns += cpu_ns

    def is_due(self) -> bool:
        """Whether the looks so far are paid for."""
        return self._unpaid_ns() <= 0

    def is_idle(self) -> bool:
        """Whether the process has done nothing since this was last asked."""
        (then_ns, used_then_ns), now_ns, used_ns = self._asked, monotonic_ns(), process_time_ns()
        self._asked = now_ns, used_ns
        return used_ns - used_then_ns < (now_ns - then_ns) // IDLE

    def rest_ns(self, every_ns: int) -> int:
        """The time until the next look, if one is wanted after *every_ns*."""
        return max(every_ns, self._unpaid_ns())

    def rest_by_age_ns(self, shortest_ns: int, longest_ns: int, of_age: int) -> int:
        """The same, if one is wanted after the share 1/*of_age* of the age, between these two."""
        return self.rest_ns(min(max(shortest_ns, self.age_ns() // of_age), longest_ns))

    def _unpaid_ns(self) -> int:
        return REST * self._spent_ns - self.age_ns()
