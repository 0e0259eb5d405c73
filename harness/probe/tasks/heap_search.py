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

# After a search, none is made for this many times as long as it took.
REST = 400
# Measured: 7 ms for a million objects. Where it takes longer than this, tasks are searched for only when
# somebody asks, and at the end.
MOST_NS = 10_000_000


class HeapSearch:
    """The searches of one process."""

    def __init__(self) -> None:
        self.spent_ns = 0  # CPU time, by all of them
        self._took_ns = 0
        self._not_before_ns = 0

    def tasks(self, *, asked: bool) -> set[TaskRef]:
        """All tasks of asyncio's own class, done or not; none if it is too early, unless *asked*."""
        now_ns, began_ns = monotonic_ns(), thread_time_ns()
        if not asked and (self._took_ns > MOST_NS or now_ns < self._not_before_ns):
            return set()
        # In C from end to end. Each object refers to its class.
        referrers, same = tee(chain.from_iterable(map(call, (partial(gc.get_referrers, Task),))))
        found = set(map(ref, compress(referrers, map(partial(is_, Task), map(type, same)))))
        self._took_ns = thread_time_ns() - began_ns
        self._not_before_ns = now_ns + REST * self._took_ns
        self.spent_ns += self._took_ns
        return found
