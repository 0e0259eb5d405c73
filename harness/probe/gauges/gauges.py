"""Reads, in a thread of its own, what a process holds, and looks for what stands still in it.

The interval grows with the age of the program and follows from the cost of the last looks, as that of the
census does, so the cost is bounded whatever there is to look at.
"""

from __future__ import annotations

import os
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from time import thread_time_ns
from typing import TYPE_CHECKING

from ...record.clock import monotonic_ns
from ...record.hidden_thread import Background
from ...record.observation import BufferLevel, GaugesRead, Observation
from ..alarm_clock import Alarm, AlarmClock
from ..feature import Feature
from ..hooks import hook
from ..hooks.process import late_import
from ..hooks.process.late_import import importing
from ..loop.turns import Turns
from ..pace import IDLE, Pace
from ..threads import thread_file

if TYPE_CHECKING:
    from .buffers import Buffers
    from .children import Children
    from .large_collections import LargeCollections
    from .wakeups import Wakeups

# Beyond the share of all looks (`pace.py`).
ALLOWANCE_NS = 20_000_000
# There are as many looks between the tenth and the twentieth second of a program as between the first and the
# second.
SHORTEST_NS, LONGEST_NS = 80_000_000, 20_000_000_000
OF_AGE = 8
# A process that has done nothing since the last search for buffers, and had none then, is searched only after
# this share of its age, or after this time.
IDLE_OF_AGE, IDLE_NS = 4, 40_000_000_000
# A reading without buffers is recorded only if this much later, as a share of the age, than the one before.
QUIET_OF_AGE = 5


class Gauges(Feature):
    """Looks from the start of the first loop on."""

    name = "gauges"

    def __init__(
        self,
        *,
        write: Callable[[Observation], object],
        running: Callable[[], Sequence[tuple[int, Turns]]],
        on_error: Callable[[str, BaseException], None],
        clock: AlarmClock | None = None,
        more_ns: int = 0,
    ) -> None:
        """The looks may cost *more_ns* of CPU time beyond their share."""
        self._write = write
        self._running = running
        self._on_error = on_error
        # Made at the first look. A program that ends sooner has nothing that could have stood between two.
        self._buffers: Buffers | None = None
        self._children: Children | None = None
        self._wakeups: Wakeups | None = None
        self._collections: LargeCollections | None = None
        self._has_all = False
        self._beginning = threading.Lock()
        self._failed: set[str] = set()
        self._levels: tuple[BufferLevel, ...] = ()
        self._written_ns = 0
        self._searched = (0, 0)  # when the buffers were last searched, and the process's CPU time then
        self._soon_s: float | None = None
        self._cpu_ns = 0
        self._pace = Pace(allowance_ns=ALLOWANCE_NS + more_ns)
        # A loop's thread looks as well, when the loop stops or the process ends.
        self._lock = threading.Lock()
        self._closed = Alarm(clock)
        self.thread = Background(self._run, spares=True)

    def look(self, *, last: bool = False) -> None:
        """Look now, unless another thread does; the *last* look of a process notes what still stands."""
        if not last:
            # Before the lock is taken: the last look does not wait for it for as long as an import may take.
            self._begin_parts()
        if self._closed.is_set() or not self._lock.acquire(timeout=0.05):
            return
        began_ns = thread_time_ns()
        try:
            self._part("wakeups", self._look_at_wakeups, last)
            self._part("children", self._look_at_children, last)
            self._part("gauges", self._read, last)
            self._part("collections", self._look_at_collections, last)
        finally:
            self._pace.spend(thread_time_ns() - began_ns)
            self._lock.release()

    def loop_stopped(self) -> None:
        # A program with many short loops must not pay each time, and one that ends at once not at all.
        if self._wakeups is not None and self._pace.is_due():
            self.look()

    def leave(self) -> None:
        self.look(last=True)

    def close(self) -> None:
        self.look(last=True)
        self._closed.set()
        self._restore()

    def abandon(self) -> None:
        # Nothing else: the parent's thread may have held a lock at the fork.
        self._restore()

    def cpu_ns(self) -> int:
        return self._cpu_ns

    def _run(self) -> None:
        while not self._closed.wait(self._wait_s()):
            self.look()
            self._cpu_ns = thread_time_ns()

    def _wait_s(self) -> float:
        if self._soon_s is not None:
            soon_s, self._soon_s = self._soon_s, None
            return soon_s
        return self._pace.rest_by_age_ns(SHORTEST_NS, LONGEST_NS, OF_AGE) / 1e9

    def _part(self, name: str, step: Callable[..., object], *args: object) -> None:
        """Take one step; a part that has failed once is left out from then on."""
        if name in self._failed:
            return
        try:
            step(*args)
        except BaseException as exc:
            if hook.is_the_programs(exc):
                raise
            self._failed.add(name)
            self._on_error(name, exc)

    def _look_at_wakeups(self, last: bool) -> None:
        if self._wakeups is not None:
            self._soon_s = self._wakeups.look(last=last)

    def _look_at_children(self, last: bool) -> None:
        if self._children is not None:
            self._children.look(last=last)

    def _look_at_collections(self, last: bool) -> None:
        if self._collections is not None:
            self._collections.look(last=last)

    def _read(self, last: bool) -> None:
        if not last and not self._levels and self._idles():
            return
        loops: list[AbstractEventLoop] = [
            turns.loop for _, turns in self._running() if turns.loop is not None
        ]
        levels = self._buffers.look(loops) if self._buffers is not None else ()
        now_ns = monotonic_ns()
        quiet_ns = self._pace.age_ns() // QUIET_OF_AGE
        if levels == self._levels and not last and now_ns - self._written_ns < quiet_ns:
            return
        self._levels, self._written_ns = levels, now_ns
        self._write(
            GaugesRead(
                at_ns=now_ns,
                pid=os.getpid(),
                cpu_ns=time.process_time_ns(),
                rss_bytes=thread_file.resident_bytes(),
                descriptors=thread_file.descriptors(),
                buffers=levels,
            )
        )

    def _begin_parts(self) -> None:
        """Make what looks, and import the rest of the probe in time; in one thread at a time."""
        if self._has_all or self._closed.is_set() or not self._beginning.acquire(blocking=False):
            return
        try:
            self._part("wakeups", self._begin_wakeups)
            self._part("children", self._begin_children)
            self._part("gauges", self._begin_buffers)
            if self._pace.age_ns() >= late_import.ALL_AFTER_NS:
                self._has_all = True
                self._part("late parts", late_import.import_all)
                # Memory is judged only after seconds.
                self._part("collections", self._begin_collections)
        finally:
            self._beginning.release()

    def _begin_wakeups(self) -> None:
        if self._wakeups is None:
            with importing():
                from .wakeups import Wakeups
            self._wakeups = Wakeups(self._write, self._running)

    def _begin_children(self) -> None:
        if self._children is None:
            with importing():
                from .children import Children
            self._children = Children(self._write, self._loop_threads)

    def _loop_threads(self) -> set[int]:
        return {turns.thread_ident for _, turns in self._running()}

    def _begin_buffers(self) -> None:
        if self._buffers is None:
            with importing():
                from .buffers import Buffers
            self._buffers = Buffers(self._write)

    def _begin_collections(self) -> None:
        with importing():
            from .large_collections import LargeCollections
        self._collections = LargeCollections(self._write)

    def _restore(self) -> None:
        for part in (self._buffers, self._wakeups):
            if part is not None:
                part.close()

    def _idles(self) -> bool:
        """Whether a search for buffers can wait, because hardly anything has happened since the last one."""
        (then_ns, cpu_then_ns), now_ns, cpu_ns = self._searched, monotonic_ns(), time.process_time_ns()
        rest_ns = min(self._pace.age_ns() // IDLE_OF_AGE, IDLE_NS)
        if then_ns and now_ns - then_ns < rest_ns and cpu_ns - cpu_then_ns < (now_ns - then_ns) // IDLE:
            return True
        self._searched = now_ns, cpu_ns
        return False
