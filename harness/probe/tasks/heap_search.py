"""Finds the tasks that are done and still exist: since Python 3.14, no register of asyncio has them.

The collector's objects are searched. That is done in one go, in which no other thread can run, because the
list refers to the tasks: if it were the last to do so, a task's finalizer would run in this thread instead of
the loop's.
"""

from __future__ import annotations

import gc
from asyncio import Task
from functools import partial
from itertools import chain, compress, tee
from operator import call, is_
from time import thread_time_ns
from weakref import ref

from ...record.clock import monotonic_ns
from ..hooks.state.task_state import TaskRef
from ..threads import thread_file

# After a search, none is made for this many times as long as it took.
REST = 400
# Where a search takes longer than this, tasks are searched for only when somebody asks, and as a loop stops.
MOST_NS = 10_000_000
# So it is from the first one on in a process that has more memory: how long a search of a gigabyte takes is
# known beforehand, and it is too long for a loop that runs.
LARGE_BYTES = 200_000_000
# Measured: 17 ms for 140 MB of small objects, 37 ms for 380 MB, 24 ms for a list of 100 MB.
BYTES_PER_NS = 8
# All searches may take this long, and one part in REST of the time.
ALLOWANCE_NS = 100_000_000


class HeapSearch:
    """The searches of one process."""

    def __init__(self) -> None:
        self.spent_ns = 0  # CPU time, by all of them
        self._began_ns = monotonic_ns()
        self._took_ns = 0
        self._not_before_ns = 0
        self._is_stopped = False

    def tasks(self, *, asked: bool) -> set[TaskRef] | None:
        """All tasks of asyncio's own class, done or not; `None` if the search would cost too much.

        Args:
            asked: Somebody waits for it, or the loop has stopped: it may take longer.
        """
        if self._is_stopped or not (self._is_affordable() if asked else self._is_hardly_noticed()):
            return None
        began_ns = thread_time_ns()
        # In C from end to end. Each object refers to its class.
        referrers, same = tee(chain.from_iterable(map(call, (partial(gc.get_referrers, Task),))))
        found = set(map(ref, compress(referrers, map(partial(is_, Task), map(type, same)))))
        self._took_ns = thread_time_ns() - began_ns
        self._not_before_ns = monotonic_ns() + REST * self._took_ns
        self.spent_ns += self._took_ns
        return found

    def stop(self) -> None:
        """Make no further search."""
        self._is_stopped = True

    def _is_hardly_noticed(self) -> bool:
        if self._took_ns > MOST_NS or monotonic_ns() < self._not_before_ns:
            return False
        return bool(self.spent_ns) or (thread_file.resident_bytes() or 0) <= LARGE_BYTES

    def _is_affordable(self) -> bool:
        expected_ns = max(self._took_ns, (thread_file.resident_bytes() or 0) // BYTES_PER_NS)
        age_ns = monotonic_ns() - self._began_ns
        return self.spent_ns + expected_ns <= ALLOWANCE_NS + age_ns // REST
