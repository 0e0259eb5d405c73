"""The running loops of this process, each with the parts that watch it."""

from __future__ import annotations

import os
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence

from ...record import page
from ...record.clock import monotonic_ns
from ...record.observation import LoopStarted, Observation
from ...record.page import Page
from ...record.process import collection
from ...record.run_folder import LOOPS
from ...record.value import replace
from .. import code_paths
from ..alarm_clock import AlarmClock
from ..control import active_fault
from ..hang import limits
from ..hang.limits import HangLimits
from ..hang.teller import EndProcess, HangTeller
from ..hooks import hook
from ..hooks.process import collector_hook
from ..hooks.state import thread_state
from ..tasks import register
from ..threads import thread_file
from .blocks import BlockWriter
from .deadman import TimerFd
from .gc_pauses import GcPauses
from .turns import Turns
from .watchdog import Watchdog, WatchedThread

Write = Callable[[Observation], object]
OnError = Callable[[str, BaseException], None]


class Loops:
    """Watches every loop of this process: one lane for each that runs at the same time, and one watchdog."""

    def __init__(
        self,
        pages: str | None,
        *,
        limit_ns: int,
        write: Write,
        announce: Write | None = None,
        on_error: OnError,
        application: Sequence[str] = (),
        hang: HangLimits = limits.DEFAULT,
        end_process: EndProcess = lambda _: None,
    ) -> None:
        """Watch the loops that begin to run from now on.

        Args:
            pages: The folder for the pages of counters; `None` keeps them in memory, unshared.
            limit_ns: A turn of at least this length is a block.
            write: Puts an event into the record.
            announce: Writes the start of a loop at once: the loop may end its process in its first turn.
            on_error: Called with the name of a part that raised.
            application: The program's own code, as paths or packages; by default it is detected.
            hang: From when on a turn is told while it lasts, and when it ends the process.
            end_process: Ends the process; called in the watchdog's thread.
        """
        self.pages_folder = pages
        self.limit_ns = limit_ns
        self.write = write
        self.announce = announce or write
        self.on_error = on_error
        self.application = application
        self.hang = hang
        self.end_process = end_process
        self._here = threading.local()
        self._lanes: list[_Lane] = []
        self._free: list[_Lane] = []
        self._lock = threading.RLock()
        self._left = False
        collection.spare()
        self._threshold = collector_hook.install()
        self._ignored: set[threading.Thread] = set()
        self.clock = AlarmClock()
        self._watchdog = Watchdog(on_error, self.clock)
        self.collector = GcPauses()
        self.collector.install()

    def turns(self) -> int:
        """The number of turns timed so far, each of which has cost something."""
        return sum(lane.turns.timed() for lane in self._lanes)

    def running(self) -> list[tuple[int, Turns]]:
        """The number and the turns of each loop that runs now."""
        return [(lane.number, lane.turns) for lane in self._lanes if lane.turns.loop is not None]

    def pages(self) -> dict[int, Page]:
        """The counters of every loop now, of those that have stopped as well, by their numbers."""
        return {lane.number: lane.turns.reading() for lane in self._lanes}

    def watchdog_cpu_ns(self) -> int:
        """The CPU time of the watchdog's thread so far."""
        return self._watchdog.cpu_ns

    def ignore(self, thread: threading.Thread) -> None:
        """Do not watch loops that run in *thread*: they are the harness's own."""
        self._ignored.add(thread)

    def write_pages(self) -> None:
        """Bring every page up to date."""
        for lane in self._lanes:
            lane.turns.write_page()

    def close(self) -> None:
        """Bring every page up to date, and mark it as stopped."""
        self.write_pages()
        for lane in self._lanes:
            lane.turns.words[page.STOPPED_NS] = monotonic_ns()

    def about_to_end(self) -> None:
        """Write the turns that are late now, and mark every page as stopped: the process is about to end.

        The mark is removed by a loop that lives on.
        """
        for lane in self._lanes:
            lane.write_lasting()
        self.close()

    def leave(self) -> None:
        """Stop watching and undo everything, in a process that continues.

        The running turn of this thread is counted up to here, those of other threads are not.
        """
        with self._lock:
            self._left = True
            self._stop_here()
            for lane in self._lanes:
                lane.detach(self._watchdog)
        self._watchdog.close()
        self.clock.close()
        self.collector.remove()
        self._threshold.undo()

    def abandon(self) -> None:
        """Release the parent's pages, timers and running loop in a child after `fork`."""
        collection.take_back()
        self._threshold.undo()
        self.collector.remove()
        thread_file.abandon()
        self._watchdog.abandon()
        self.clock.close()
        for lane in self._lanes:
            lane.abandon()

    def changed(self, loop: AbstractEventLoop | None) -> None:
        """Called when *loop* begins to run in this thread; with `None` when the running one has stopped."""
        if thread_state.this_thread() in self._ignored:
            return
        with self._lock:
            here = self.here()
            if self._left or loop is (here[1].loop if here is not None else None):
                return
            self._stop_here()
            if loop is not None:
                register.loop_begins(loop)
                self._here.lane = lane = self._take_lane()
                lane.run(loop, self._watchdog)

    def here(self) -> tuple[int, Turns] | None:
        """The number and the turns of the loop that runs in this thread, if it is watched."""
        lane: _Lane | None = getattr(self._here, "lane", None)
        return (lane.number, lane.turns) if lane is not None else None

    def _stop_here(self) -> None:
        lane: _Lane | None = getattr(self._here, "lane", None)
        if lane is not None:
            self._here.lane = None
            lane.stop(self._watchdog)
            self._free.append(lane)

    def _take_lane(self) -> _Lane:
        if self._free:
            return self._free.pop()
        lane = _Lane(self, len(self._lanes))
        self._lanes.append(lane)
        return lane


class _Lane:
    """The counters and the page for loops that run one after the other, which bounds the number of pages."""

    def __init__(self, loops: Loops, number: int) -> None:
        words, self._page = _new_page(loops.pages_folder, number, loops.limit_ns)
        self.turns = Turns(words, limit_ns=loops.limit_ns, on_late=self._late, on_overslept=self._overslept)
        self.turns.on_in_time = self._in_time
        self.number = number
        self._blocks = BlockWriter(number, loops.collector, loops.write)
        # At once, because the process may not live for long.
        self._hangs = HangTeller(number, loops.hang, loops.announce, loops.end_process)
        self._loops = loops
        self._watched: WatchedThread | None = None
        self._kinds: set[str] = set()

    def run(self, loop: AbstractEventLoop, watchdog: Watchdog) -> None:
        """Watch *loop*, which is about to run in this thread."""
        kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
        # Before the first turn begins: detecting the program's code takes milliseconds and imports, which the
        # program must not be blamed for.
        started = self._started(kind) if kind not in self._kinds else None
        timer = TimerFd()
        mechanism = self.turns.begin(loop, timer)
        self._watched = WatchedThread(
            self.turns,
            timer,
            on_seen=self._blocks.seen,
            acting_fault=active_fault.fault_in,
            hangs=self._hangs,
        )
        watchdog.add(self._watched)
        if started is not None:
            self._kinds.add(kind)
            self._loops.announce(replace(started, mechanism=mechanism))

    def stop(self, watchdog: Watchdog) -> None:
        """Stop watching: the loop has stopped."""
        self.turns.end()
        self._forget(watchdog)

    def detach(self, watchdog: Watchdog) -> None:
        """Stop watching the loop, if one runs; it may be in the middle of a turn."""
        self.turns.detach()
        self.turns.stopped()
        self._forget(watchdog)

    def write_lasting(self) -> None:
        """Write the turn that is late now, if one is, and sample it no more."""
        now_ns, watched = monotonic_ns(), self._watched
        began_ns = max(self.turns.state())
        if watched is not None and began_ns and now_ns - began_ns >= self.turns.limit_ns:
            # Exactly when it began: the page may still have an earlier sign of life.
            self.turns.words[page.TURN], self.turns.words[page.DUE] = self.turns.state()
            self._blocks.seen(self.turns, watched.stall_since(began_ns, now_ns), now_ns)
        if watched is not None:
            watched.left_ns = now_ns

    def abandon(self) -> None:
        """Stop counting in a child after `fork`, and close the parent's timer there."""
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
            if (watched := self._watched) is not None:
                stall = watched.end_stall(began_ns, ended_ns)
                delayed = self._blocks.ended(self.turns, stall, ended_ns)
                self._hangs.over(stall, ended_ns)
                stall.release()
                page.note_delayed(self.turns.words, delayed)
        except BaseException as exc:
            if hook.is_the_programs(exc):
                raise
            self._loops.on_error("blocks", exc)

    def _in_time(self) -> None:
        # On this thread, in which the finalizers of what it has kept belong.
        if (watched := self._watched) is not None and (stall := watched.stall) is not None:
            watched.stall = None
            stall.release()

    def _overslept(self, due_ns: int, woke_ns: int) -> None:
        try:
            if (watched := self._watched) is not None:
                self._blocks.overslept(self.turns, watched.stall_since(due_ns, woke_ns), woke_ns)
        except BaseException as exc:
            if hook.is_the_programs(exc):
                raise
            self._loops.on_error("blocks", exc)

    def _started(self, kind: str) -> LoopStarted:
        return LoopStarted(
            at_ns=monotonic_ns(),
            pid=os.getpid(),
            loop=self.number,
            kind=kind,
            thread=thread_state.name_of_this_thread(),
            mechanism="",
            page=self._page,
            limit_ns=self.turns.limit_ns,
            application=code_paths.application(self._loops.application),
            not_found=code_paths.not_found(self._loops.application),
            libraries=code_paths.libraries(),
            harness=code_paths.HARNESS,
        )


def _new_page(folder: str | None, number: int, limit_ns: int) -> tuple[memoryview, str]:
    """A page of counters, and its path within the run's folder; "" for a page in memory."""
    now_ns = monotonic_ns()
    if folder is None:
        words = memoryview(bytearray(page.WORDS * 8)).cast("q")
        words[page.STARTED_NS], words[page.LIMIT_NS] = now_ns, limit_ns
        return words, ""
    name = f"{os.getpid()}-{now_ns:x}-{number}.page"
    words = page.create(f"{folder}/{name}", started_ns=now_ns, limit_ns=limit_ns)
    return words, f"{LOOPS}/{name}"
