"""Counts the pending tasks of this process by where they wait, periodically, in a separate thread.

Creating and ending a task costs nothing extra: a census reads asyncio's own register. Over several censuses,
a cluster that only grows is a leak, and tasks that survive their cancellation show up. The interval follows
from the cost of the last censuses, so the cost is bounded whatever the number of tasks.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from asyncio import AbstractEventLoop, Task
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import islice
from time import thread_time_ns
from types import FrameType
from typing import Any
from weakref import WeakSet

from ...record.clock import monotonic_ns
from ...record.hidden_thread import Background
from ...record.observation import AwaitSite, Observation, TaskCluster, TasksCounted
from ...record.process import collection
from ..alarm_clock import Alarm, AlarmClock
from ..feature import Feature
from ..hooks import hook
from ..hooks.group_hook import requests_of_groups
from ..hooks.runtime import why_no_census
from ..hooks.state import task_state
from ..hooks.state.task_state import TaskRef
from ..pace import Pace
from ..threads import thread_file
from . import coroutine
from .coroutine import Place

# Not when they are needed: a fork during an import by the census's thread would leave its lock to the child.
from .death import Deaths
from .heap_search import HeapSearch
from .register import FORGETS_DONE, LOOKED_AT, registered
from .standstill import Standstills

# Beyond the share of all looks (`pace.py`), which a busy loop pays twice, by its GIL switches. It is less
# than what Python's own start takes, and lets a census see growth in a short program.
ALLOWANCE_NS = 8_000_000
# The interval grows with the age of the program: there are as many censuses between its tenth and twentieth
# second as between its first and second. An idle program is hardly ever woken up.
SHORTEST_NS, LONGEST_NS, IDLE_NS = 10_000_000, 5_000_000_000, 20_000_000_000
OF_AGE = 5
# Tasks inspected in one go, in which no other thread can run: half a millisecond. In the pause, other threads
# run. It also keeps the census from holding the last reference to a task, whose finalizer would then run in
# this thread instead of the loop's.
AT_ONCE = 500
PAUSE_S = 0.0002
# Tasks that are counted once more before `os._exit`, which waits for it: some twenty milliseconds.
AT_THE_END = 10_000
# Smaller clusters are not recorded; of the others, the largest are listed.
CROWD, LISTED = 5, 50
# Beyond this number of places, those without tasks at the last census are forgotten.
PLACES = 2_000
# How long a cancelled task may take to clean up.
CANCEL_NS = 1_000_000_000
# A program that ends sooner is not looked at closely, unless a task has died.
CLOSELY_NS = 500_000_000
# The functions that cancel what the main coroutine left behind: asyncio's own, and aiohttp's.
_WINDING_UP = ("_cancel_all_tasks", "_cancel_tasks")
# The number of frames searched for them; half a dozen of these are the probe's.
FRAMES = 16


class _Standing:
    """The tasks at one place: those of the last census, and totals over time."""

    __slots__ = ("kept", "newest", "number", "seen", "tasks")

    def __init__(self) -> None:
        self.tasks: set[TaskRef] = set()
        self.seen = 0
        self.newest = 0  # as in `TaskCluster`
        self.number = -1  # as in `AwaitSite`, once it was written
        self.kept: tuple[object, ...] = ()


class _Counted:
    """The result of one census."""

    __slots__ = ("at_ns", "cancelled", "dead", "ended", "pending", "places")

    def __init__(self, at_ns: int) -> None:
        self.at_ns = at_ns
        self.pending = 0
        self.places: dict[Place, set[TaskRef]] = {}
        self.cancelled: dict[TaskRef, int] = {}  # when each was first found cancelled
        self.ended: set[TaskRef] = set()  # cancelled, but ended normally
        self.dead: list[TaskRef] = []  # with an exception that nobody has looked at


class Census(Feature):
    """Takes censuses from the start of the first loop on, in a separate thread."""

    name = "census"

    def __init__(
        self,
        *,
        write: Callable[[Observation], object],
        on_swallowed: Callable[[Task[Any]], None],
        on_error: Callable[[str, BaseException], None],
        clock: AlarmClock | None = None,
        only_new: bool = False,
        more_ns: int = 0,
    ) -> None:
        """*only_new* leaves out the tasks that have ended by now, however they did.

        The censuses may cost *more_ns* of CPU time beyond their share.
        """
        self._cpu_ns = 0
        self._write = write
        self._on_swallowed = on_swallowed
        self._on_error = on_error
        self._running: dict[int, bool] = {}  # by thread: whether its loop is being wound up
        self._wound_up: WeakSet[AbstractEventLoop] = WeakSet()
        self._windings = 0  # how often a loop has begun to be wound up
        self._standing: dict[Place, _Standing] = {}
        self._numbers = 0
        self._last = _Counted(0)
        self._listed: set[TaskRef] = set()  # at the last census
        self._heap = HeapSearch()
        self._quiet = False  # the newest census in the record has no clusters
        self._standstills: Standstills | None = None
        self._deaths: Deaths | None = None
        self._pace = Pace(allowance_ns=ALLOWANCE_NS + more_ns)
        # The loop's thread also takes a census, when the loop stops.
        self._lock = threading.Lock()
        self._closed = Alarm(clock)
        self.thread: Background | None = None
        self._ended_before: frozenset[TaskRef] = frozenset()
        hook.leave_out("census", reason := why_no_census())
        if reason:
            self._closed.set()
        else:
            if only_new:
                known = self._heap.tasks(asked=False) if FORGETS_DONE else registered()
                if known is None:
                    # Those of before could not be told from those to come.
                    self._heap.stop()
                self._ended_before = frozenset(filter(_has_ended, known or ()))
            self.thread = Background(self._run, spares=True)

    def loop_begins(self, loop: AbstractEventLoop) -> None:
        if _is_winding_up(sys._getframe(1)):
            self._wound_up.add(loop)
        is_winding_up = self._running[threading.get_ident()] = loop in self._wound_up
        self._windings += is_winding_up

    def loop_stopped(self) -> None:
        # Tasks that are pending now were left behind. A program with many short loops must not pay each time.
        if self._pace.is_due():
            self.count()
        elif self._deaths is not None:
            self._guarded(self._settle_deaths)
        self._running.pop(threading.get_ident(), None)

    def count(self) -> None:
        """Take a census now, unless one is being taken, or one has failed."""
        if not self._closed.is_set():
            self._guarded(partial(self._count, asked=True))

    def _settle_deaths(self) -> None:
        if self._deaths is not None:
            self._deaths.settle(monotonic_ns())

    def _guarded(self, work: Callable[[], None]) -> None:
        if self._lock.acquire(timeout=0.05):
            # The searches keep to a share of their own.
            began_ns = thread_time_ns() - self._heap.spent_ns
            try:
                work()
            except BaseException as exc:
                if hook.is_the_programs(exc):
                    raise
                self._on_error("census", exc)
                self._closed.set()  # what failed once is not tried again and again
            finally:
                self._pace.spend(thread_time_ns() - self._heap.spent_ns - began_ns)
                self._lock.release()

    def leave(self) -> None:
        # More of them take too long at the end of a process; those of the last census are in the record.
        if len(registered() or ()) <= AT_THE_END:
            self.count()

    def close(self) -> None:
        self._closed.set()

    def cpu_ns(self) -> int:
        return self._cpu_ns

    def _run(self) -> None:
        while not self._closed.wait(self._wait_s()):
            self._guarded(self._count)
            self._cpu_ns = thread_time_ns()

    def _wait_s(self) -> float:
        longest_ns = IDLE_NS if self._pace.is_idle() else LONGEST_NS
        return self._pace.rest_by_age_ns(SHORTEST_NS, longest_ns, OF_AGE) / 1e9

    def _count(self, *, asked: bool = False) -> None:
        if (refs := registered()) is None:
            hook.leave_out("census", f"there were more than {LOOKED_AT:,} tasks at a time")
            return
        if FORGETS_DONE:
            # Some of those that are missing now have ended: a swallowed cancellation shows only then.
            listed, self._listed = self._listed, set(refs)
            refs += (listed | (self._heap.tasks(asked=asked) or set())) - self._listed
        # Both before and after: a loop may be wound up, and end all its tasks, while they are counted.
        was_closing, windings = any(self._running.values()), self._windings
        count = _Counted(monotonic_ns())
        for start in range(0, len(refs), AT_ONCE):
            if start and threading.get_ident() not in self._running:
                collection.sleep(PAUSE_S)
            for task in refs[start : start + AT_ONCE]:
                self._inspect(task, count)
        if FORGETS_DONE:
            # A search may find one again that the census before did not have.
            count.ended |= {task for task in self._last.ended if task() is not None}
        clusters = self._settle(count)
        is_closing = was_closing or windings != self._windings or any(self._running.values())
        if not is_closing:
            self._look_closely(count)
        if self._quiet and not clusters:
            return  # nothing has changed since the last census in the record
        self._quiet = not clusters
        self._write(
            TasksCounted(
                at_ns=count.at_ns,
                pid=os.getpid(),
                pending=count.pending,
                cpu_ns=time.process_time_ns(),
                descriptors=_descriptors() if clusters else 0,
                clusters=clusters,
                closing=is_closing,
            )
        )

    def _look_closely(self, count: _Counted) -> None:
        """Look for tasks that nobody serves, and for those that died."""
        if self._standstills is None or self._deaths is None:
            if not count.dead and self._pace.age_ns() < CLOSELY_NS:
                return
            self._standstills, self._deaths = Standstills(self._write), Deaths(self._write)
        self._standstills.look(count.at_ns, count.places)
        # Also where the loop has stopped: there is nobody left who may look at an exception a little later.
        is_last = not self._running or threading.get_ident() in self._running
        self._deaths.look(count.at_ns, count.dead, count.places, is_last=is_last)

    def _inspect(self, register: TaskRef, count: _Counted) -> None:
        if (task := register()) is None:
            return
        asked = task_state.cancelling(task) > requests_of_groups(task)
        if task_state.is_done(task):
            if register in self._ended_before:
                return
            if task_state.is_unretrieved(task):
                count.dead.append(register)
            # `task.exception()` would mark the exception as retrieved.
            if asked and not task_state.is_cancelled(task) and task_state.exception(task) is None:
                count.ended.add(register)
                if register not in self._last.ended:
                    self._on_swallowed(task)
            return
        count.pending += 1
        work = task_state.work_of(task)
        if getattr(work, "cr_running", False):
            return
        count.places.setdefault(coroutine.place_of(work), set()).add(register)
        if asked:
            count.cancelled[register] = self._last.cancelled.get(register, count.at_ns)

    def _settle(self, count: _Counted) -> tuple[TaskCluster, ...]:
        """Compare with the previous census, and return the clusters to record, largest first."""
        clusters = []
        for place, tasks in count.places.items():
            standing = self._standing.setdefault(place, _Standing())
            fresh = tasks - standing.tasks
            standing.seen += len(fresh)
            late = [count.at_ns - count.cancelled[task] for task in tasks & count.cancelled.keys()]
            late = [late_ns for late_ns in late if late_ns >= CANCEL_NS]
            if (len(tasks) >= CROWD or late) and self._introduce(standing, place, tasks):
                standing.newest = max(standing.newest, _highest_number(fresh))
                clusters.append(
                    TaskCluster(
                        standing.number,
                        len(tasks),
                        standing.seen,
                        len(late),
                        max(late, default=0),
                        standing.newest,
                    )
                )
        for place in self._standing.keys() - count.places.keys() if len(self._standing) > PLACES else ():
            del self._standing[place]
        for place, standing in self._standing.items():
            standing.tasks = count.places.get(place, set())
        self._last = count
        clusters.sort(key=lambda cluster: (cluster.cancelled > 0, cluster.count), reverse=True)
        return tuple(clusters[:LISTED])

    def _introduce(self, standing: _Standing, place: Place, tasks: set[TaskRef]) -> bool:
        """Number the place and describe it in the record, once; false if all its tasks have left it."""
        if standing.number >= 0:
            return True
        for task in filter(None, (register() for register in islice(tasks, AT_ONCE))):
            kept, of = coroutine.kept_by(task_state.work_of(task)), coroutine.of_task(task)
            # The loop keeps running: a task that has left the place since does not describe it.
            if coroutine.place_of(task_state.work_of(task)) == place:
                self._numbers, standing.number = self._numbers + 1, self._numbers
                standing.kept = kept
                self._write(AwaitSite(monotonic_ns(), os.getpid(), standing.number, of))
                return True
        return False


def _has_ended(register: TaskRef) -> bool:
    return (task := register()) is not None and task_state.is_done(task)


def _highest_number(tasks: set[TaskRef]) -> int:
    """The highest number in asyncio's default names of these tasks, which count all tasks of the process."""
    names = (task_state.name_of(task) for ref in islice(tasks, AT_ONCE) if (task := ref()) is not None)
    # The program may have named a task with digits alone, or with many digits after the prefix.
    numbers = (name.removeprefix("Task-") for name in names if name.startswith("Task-") and len(name) < 21)
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def _descriptors() -> int:
    if (count := thread_file.descriptors()) is not None:
        return count
    with suppress(OSError):
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    return 0


def _is_winding_up(frame: FrameType | None) -> bool:
    """Whether the loop is run once more only to cancel its remaining tasks."""
    for _ in range(FRAMES):
        if frame is None:
            return False
        if frame.f_code.co_name in _WINDING_UP:
            return True
        frame = frame.f_back
    return False
