"""Looks at the pools of threads that loops give calls to, in a thread of its own, for calls that stand.

Submitting and running a call costs nothing extra. A pool at rest is looked at twice a second, and less often
while the process does nothing; one at work more often, so that it is seen what came before the pool was full
and what came later.
"""

from __future__ import annotations

import os
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from time import thread_time_ns
from types import FrameType
from typing import TYPE_CHECKING
from weakref import WeakSet

from ...record.clock import monotonic_ns
from ...record.hidden_thread import Background
from ...record.observation import Observation
from ..alarm_clock import Alarm, AlarmClock
from ..feature import Feature
from ..hooks.process.late_import import importing
from ..pace import Pace
from . import other_threads

if TYPE_CHECKING:
    from .backlog import Backlog
    from .pool import Pool
    from .pool_list import PoolList

# The time between two looks: at work and while calls wait, and at rest; and while the process does nothing,
# beside a full pool and without one.
AT_WORK_NS, AT_REST_NS, FULL_NS, IDLE_NS = 100_000_000, 500_000_000, 1_000_000_000, 20_000_000_000
# The longer calls have been waiting, the further apart the looks: a thirtieth of the time, up to a second.
OF_AGE, LONGEST_NS = 30, 1_000_000_000
# Beyond the share of all looks (`pace.py`).
ALLOWANCE_NS = 20_000_000
# A look that comes later than due by more than this was itself delayed, as when the process was stopped: what
# is beyond does not count.
DELAYED_NS = 700_000_000
# Of further backlogs in a process, only those that stood for at least so long are recorded.
RECORDED, LEAST_NS = 100, 10_000_000_000
# A backlog that lasts is written again when it has grown by this share.
GROWN = 0.5


class PoolWatch(Feature):
    """Looks from the start of the first loop on."""

    name = "pools"

    def __init__(
        self,
        *,
        write: Callable[[Observation], object],
        on_error: Callable[[str, BaseException], None],
        clock: AlarmClock | None = None,
    ) -> None:
        self._write = write
        self._on_error = on_error
        self._loops: WeakSet[AbstractEventLoop] = WeakSet()
        self._running: set[int] = set()  # the threads of running loops
        # From the first look on.
        self._pools: PoolList | None = None
        self._backlog: type[Backlog]
        self._backlogs: dict[int, Backlog] = {}  # by pool
        self._described: dict[int, tuple[str, str, int]] = {}  # name, kind and threads of those in the record
        self._written_ns: dict[int, int] = {}  # until when each was in the record
        self._numbers = self._recorded = 0
        self._every_ns = self._asked_ns = AT_WORK_NS
        self._busy = 0  # the threads at work at the last look
        self._pace = Pace(allowance_ns=ALLOWANCE_NS)
        self._cpu_ns = 0
        self._lock = threading.Lock()
        self._closed = Alarm(clock)
        self.thread = Background(self._run, spares=True)

    def loop_begins(self, loop: AbstractEventLoop) -> None:
        self._loops.add(loop)
        self._running.add(threading.get_ident())

    def loop_stopped(self) -> None:
        self._running.discard(threading.get_ident())

    def leave(self) -> None:
        """Write the backlogs of this moment."""
        if not self._closed.is_set() and self._lock.acquire(timeout=0.05):
            try:
                for key, backlog in self._backlogs.items():
                    self._record(key, backlog, monotonic_ns(), ended=False)
            finally:
                self._lock.release()

    def close(self) -> None:
        self.leave()
        self._closed.set()

    def cpu_ns(self) -> int:
        return self._cpu_ns

    def _run(self) -> None:
        while not self._closed.wait(self._wait_s()):
            began_ns = thread_time_ns()
            try:
                pools = self._pools = self._pools or self._begun()
                with self._lock:
                    self._look(pools)
            except BaseException as exc:
                self._on_error(self.name, exc)
                self._closed.set()  # what failed once is not tried again and again
            self._cpu_ns = thread_time_ns()
            self._pace.spend(self._cpu_ns - began_ns)

    def _wait_s(self) -> float:
        self._asked_ns = self._pace.rest_ns(self._every_ns)
        return self._asked_ns / 1e9

    def _begun(self) -> PoolList:
        # Before the lock is taken, for which the end of the process does not wait for long.
        with importing(self._pace):
            from . import backlog
            from .pool_list import PoolList
        self._backlog = backlog.Backlog
        return PoolList()

    def _look(self, known: PoolList) -> None:
        if not self._running:
            self._every_ns = AT_REST_NS
            return
        at_ns, pools = monotonic_ns(), known.seen()
        longest_gap_ns = self._asked_ns + DELAYED_NS
        frames = _Frames()
        busy, oldest_ns, any_full = 0, 0, False
        for pool in pools:
            busy += pool.at_work()
            backlog = self._backlogs.get(pool.key)
            if backlog is None:
                self._numbers += 1
                backlog = self._backlogs[pool.key] = self._backlog(self._numbers, os.getpid())
            if pool.queued() and backlog.look(at_ns, pool, frames, longest_gap_ns=longest_gap_ns):
                oldest_ns = min(oldest_ns or at_ns, backlog.began_ns)
                self._tell(pool, backlog, at_ns)
            else:
                if pool.key in self._described:
                    self._record(pool.key, backlog, at_ns, ended=True)
                    del self._described[pool.key]
                any_full |= (is_full := pool.is_full(frames))
                backlog.rest(at_ns, is_full=is_full)
        for gone in self._backlogs.keys() - {pool.key for pool in pools}:
            del self._backlogs[gone]
            self._described.pop(gone, None)
        self._every_ns = self._next_ns(at_ns, busy, oldest_ns, FULL_NS if any_full else IDLE_NS)

    def _next_ns(self, at_ns: int, busy: int, oldest_ns: int, idle_ns: int) -> int:
        before, self._busy = self._busy, busy
        is_idle = self._pace.is_idle()
        if oldest_ns:
            return min(max(AT_WORK_NS, (at_ns - oldest_ns) // OF_AGE), LONGEST_NS)
        if busy != before:
            return AT_WORK_NS
        return min(2 * self._every_ns, idle_ns if is_idle else AT_REST_NS)

    def _tell(self, pool: Pool, backlog: Backlog, at_ns: int) -> None:
        if not backlog.counted:
            return
        if pool.key not in self._described:
            self._described[pool.key] = pool.name(list(self._loops)), pool.kind, pool.most()
            self._written_ns[pool.key] = 0
        if at_ns - backlog.began_ns >= (1 + GROWN) * self._written_ns[pool.key]:
            self._written_ns[pool.key] = at_ns - backlog.began_ns
            self._record(pool.key, backlog, at_ns, ended=False)

    def _record(self, key: int, backlog: Backlog, at_ns: int, *, ended: bool) -> None:
        if key not in self._described or not backlog.began_ns:
            return
        self._recorded += ended
        if self._recorded <= RECORDED or backlog.stood_ns >= LEAST_NS:
            self._write(backlog.event(at_ns, *self._described[key], ended=ended))


class _Frames:
    """The innermost frames of all threads, read at the first use in a look."""

    def __init__(self) -> None:
        self._found: dict[int, FrameType] | None = None

    def __call__(self) -> dict[int, FrameType]:
        if self._found is None:
            self._found = other_threads.frames()
        return self._found
