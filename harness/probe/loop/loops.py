"""The loops of this process that run now, each under watch."""

from __future__ import annotations

import os
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence

from ...record import page
from ...record.clock import monotonic_ns
from ...record.observation import LoopStarted, Observation
from ...record.run import RunFolder
from ...record.value import replace
from .. import code_paths
from ..control import active_fault
from .blocks import BlockWriter
from .deadman import TimerFd
from .gc_pauses import GcPauses
from .turns import Turns
from .watchdog import Watchdog, WatchedThread

Write = Callable[[Observation], object]
OnError = Callable[[str, BaseException], None]


class Loops:
    """Every loop of this process under watch: a lane for each that runs at the same time, one watchdog."""

    def __init__(
        self,
        folder: RunFolder | None,
        *,
        limit_ns: int,
        write: Write,
        announce: Write | None = None,
        on_error: OnError,
        application: Sequence[str] = (),
    ) -> None:
        """*folder* takes the pages of counters; without one they stay in memory, unshared.

        *announce* writes that a loop begins, if *write* may take too long for a loop whose first turn is the
        end of its process.
        *application* names what is the program's own code, if that is not to be found out.
        """
        self._folder = folder
        self.limit_ns = limit_ns
        self._write = write
        self._announce = announce or write
        self._on_error = on_error
        self.application = application
        self._here = threading.local()
        self._lanes: list[_Lane] = []
        self._free: list[_Lane] = []
        self._lock = threading.RLock()
        self._left = False
        self._ignored: set[threading.Thread] = set()
        self._watchdog = Watchdog(on_error)
        self._collector = GcPauses()
        self._collector.install()

    def turns(self) -> int:
        """How many turns were timed so far."""
        return sum(int(lane.turns.words[page.TURNS]) for lane in self._lanes)

    def running(self) -> list[tuple[int, Turns]]:
        """The loops that run now: the number of each, and its turns."""
        return [(lane.number, lane.turns) for lane in self._lanes if lane.turns.loop is not None]

    def watchdog_cpu_ns(self) -> int:
        """The CPU time of the watchdog's thread so far."""
        return self._watchdog.cpu_ns

    def ignore(self, thread: threading.Thread) -> None:
        """What runs in *thread* is the harness's own."""
        self._ignored.add(thread)

    def write_pages(self) -> None:
        """Bring every page up to date."""
        for lane in self._lanes:
            lane.turns.write_page()

    def close(self) -> None:
        """Bring every page up to date, for the last time."""
        self.write_pages()
        for lane in self._lanes:
            lane.turns.words[page.STOPPED_NS] = monotonic_ns()

    def leave(self) -> None:
        """Watch no loop any more, and leave nothing behind in a process that goes on.

        A turn that goes on in this thread is counted up to here. Those of other threads are not.
        """
        with self._lock:
            self._left = True
            self._stop_here()
            for lane in self._lanes:
                lane.let_go(self._watchdog)
        self._watchdog.close()
        self._collector.remove()

    def abandon(self) -> None:
        """In a child after `fork`: leave alone what the parent counts into, and the loop it was running."""
        self._collector.remove()
        self._watchdog.abandon()
        for lane in self._lanes:
            lane.abandon()

    def changed(self, loop: AbstractEventLoop | None) -> None:
        """*loop* begins to run in this thread, or `None`: the one that ran has stopped."""
        if threading.current_thread() in self._ignored:
            return
        with self._lock:
            if self._left or loop is self._loop_here():
                return
            self._stop_here()
            if loop is not None:
                self._here.lane = lane = self._take_lane()
                lane.run(loop, self._watchdog)

    def here(self) -> tuple[int, Turns] | None:
        """The number and the turns of the loop under watch that runs in this thread."""
        lane: _Lane | None = getattr(self._here, "lane", None)
        return (lane.number, lane.turns) if lane is not None else None

    def _loop_here(self) -> AbstractEventLoop | None:
        lane: _Lane | None = getattr(self._here, "lane", None)
        return lane.turns.loop if lane is not None else None

    def _stop_here(self) -> None:
        lane: _Lane | None = getattr(self._here, "lane", None)
        if lane is not None:
            self._here.lane = None
            lane.stop(self._watchdog)
            self._free.append(lane)

    def _take_lane(self) -> _Lane:
        if self._free:
            return self._free.pop()
        lane = _Lane(
            self._folder,
            len(self._lanes),
            self.limit_ns,
            self.application,
            self._collector,
            self._write,
            self._announce,
            self._on_error,
        )
        self._lanes.append(lane)
        return lane


class _Lane:
    """Counters and a page for loops that run one after the other, so that their number stays bounded."""

    def __init__(
        self,
        folder: RunFolder | None,
        number: int,
        limit_ns: int,
        application: Sequence[str],
        collector: GcPauses,
        write: Write,
        announce: Write,
        on_error: OnError,
    ) -> None:
        words, self._page = _new_page(folder, number, limit_ns)
        self.turns = Turns(words, limit_ns=limit_ns, on_late=self._late, on_overslept=self._overslept)
        self.number = number
        self._blocks = BlockWriter(number, collector, write)
        self._application = application
        self._announce = announce
        self._on_error = on_error
        self._watched: WatchedThread | None = None
        self._kinds: set[str] = set()

    def run(self, loop: AbstractEventLoop, watchdog: Watchdog) -> None:
        """*loop* is about to run in this thread."""
        kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
        # Before the first turn begins: to find the program's places takes milliseconds, and imports, which
        # are not the program's.
        started = self._started(kind) if kind not in self._kinds else None
        timer = TimerFd()
        mechanism = self.turns.begin(loop, timer)
        self._watched = WatchedThread(
            self.turns, timer, on_seen=self._blocks.seen, acting_fault=active_fault.fault_in
        )
        watchdog.add(self._watched)
        if started is not None:
            self._kinds.add(kind)
            self._announce(replace(started, mechanism=mechanism))

    def stop(self, watchdog: Watchdog) -> None:
        """The loop has stopped."""
        self.turns.end()
        self._forget(watchdog)

    def let_go(self, watchdog: Watchdog) -> None:
        """Have nothing more to do with the loop, if one runs; it may be in the middle of a turn."""
        self.turns.detach()
        self._forget(watchdog)

    def abandon(self) -> None:
        """In a child after `fork`: count nothing more, and close what the parent has open."""
        self.turns.abandon()
        if self._watched is not None:
            self._watched.timer.close()

    def _forget(self, watchdog: Watchdog) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            watchdog.remove(watched)
            watched.timer.close()

    def _late(self, began_ns: int, ended_ns: int) -> None:
        try:
            watched = self._watched
            if watched is not None:
                stall = watched.end_stall(began_ns, ended_ns)
                self._blocks.ended(self.turns, stall, ended_ns)
        except Exception as exc:
            self._on_error("blocks", exc)

    def _overslept(self, due_ns: int, woke_ns: int) -> None:
        try:
            watched = self._watched
            if watched is not None:
                stall = watched.stall_since(due_ns, woke_ns)
                self._blocks.overslept(self.turns, stall, woke_ns)
        except Exception as exc:
            self._on_error("blocks", exc)

    def _started(self, kind: str) -> LoopStarted:
        return LoopStarted(
            at_ns=monotonic_ns(),
            pid=os.getpid(),
            loop=self.number,
            kind=kind,
            thread=threading.current_thread().name,
            mechanism="",
            page=self._page,
            limit_ns=self.turns.limit_ns,
            application=code_paths.application(self._application),
            libraries=code_paths.libraries(),
            harness=code_paths.HARNESS,
        )


def _new_page(folder: RunFolder | None, number: int, limit_ns: int) -> tuple[memoryview, str]:
    """A page of counters, and its place in the run's folder, "" for one in memory."""
    now_ns = monotonic_ns()
    if folder is None:
        words = memoryview(bytearray(page.WORDS * 8)).cast("q")
        words[page.STARTED_NS], words[page.LIMIT_NS] = now_ns, limit_ns
        return words, ""
    path = folder.loops / f"{os.getpid()}-{now_ns:x}-{number}.page"
    return page.create(path, started_ns=now_ns, limit_ns=limit_ns), str(path.relative_to(folder.path))
