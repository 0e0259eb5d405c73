"""Times the turns of a loop, from the selector's return to its next call, at next to no cost.

A turn, not a callback, is the unit of blocking: many short callbacks and one long one are both a long turn.
asyncio calls its selector's `select` once per turn, so only that is replaced (`selector_slot.py`), by a
function that also takes the time (`epoll_timing.py`), and only while the loop runs.
"""

from __future__ import annotations

import selectors
import threading
from array import array
from asyncio import AbstractEventLoop
from collections.abc import Callable
from time import thread_time_ns
from types import CodeType, FrameType
from typing import TYPE_CHECKING

from ...record import page
from ...record.clock import monotonic, monotonic_ns
from ...record.page import Page
from ..hooks.process.late_import import importing
from ..hooks.selector_slot import SelectorSlot
from ..threads.run_queue import RunQueue
from ..threads.usage import ThreadClock
from . import epoll_timing
from .epoll_timing import NEVER, SHORT_BUCKET, Timing

if TYPE_CHECKING:
    from .deadman import DeadMan
    from .lookout import Lookout
    from .waiting_file import WaitingFile, WatchedFiles

# How a loop's turns are timed, as the record names it; a `TurnClock` has its own name.
EXACT, WRAPPED = "select", "wrapped"
# A killed process loses at most the counts of this time.
WRITE_EVERY_NS = 100_000_000
# Level-triggered selectors: an additional `select` takes nothing from the loop's next one. Epoll is first.
_NAMES = ("EpollSelector", "PollSelector", "SelectSelector")
_LASTING = [getattr(selectors, name) for name in _NAMES if hasattr(selectors, name)]


class Turns:
    """The turns of loops that run one after the other."""

    def __init__(
        self,
        words: memoryview,
        *,
        limit_ns: int,
        on_late: Callable[[int, int], None],
        on_overslept: Callable[[int, int], None],
    ) -> None:
        """Count into the page *words*.

        Args:
            words: The page of counters (`record/page.py`).
            limit_ns: A turn of at least this length is late.
            on_late: Called as ``on_late(began_ns, ended_ns)`` after each late turn.
            on_overslept: Called as ``on_overslept(due_ns, woke_ns)`` when the loop woke up late, before any
                callback has run; the turn that follows counts from *due_ns*.
        """
        self.words = words
        self.loop: AbstractEventLoop | None = None
        self.thread_ident = self.native_thread_id = 0
        self.limit_ns = limit_ns
        # The watchdog wakes up this long after the loop's last sign of life: early enough to sample the
        # second half of the shortest block, late enough that a healthy loop never wakes it.
        self.look_after_ns = page.sample_after_ns(limit_ns)
        # A sign of life sets the timer, which is a system call, so it is given at most once in this time.
        self.set_every_s = limit_ns / 5e9
        # The time of the last sign of life, and the thread's CPU time then: the baseline for a late turn.
        self.marked = (0, 0)
        # The time that the thread had waited for a processor then; `None` where that is unknown.
        self.marked_queued_ns: int | None = None
        self._run_queue: RunQueue | None = None
        # If set, called with the time (s) when the loop is about to wait, and when it has woken up.
        self.on_wait: Callable[[float], None] | None = None
        self.on_wake: Callable[[float], None] | None = None
        # If set, called after the page was written at a sign of life, with the time, the thread's CPU time,
        # and the time it has waited for a processor (ns; 0 if unknown).
        self.on_counted: Callable[[int, int, int], None] | None = None
        # If set, called on the loop's thread when a turn that may have been sampled has ended in time.
        self.on_in_time: Callable[[], None] | None = None
        # The sampler of these turns: only one at a time can use `on_wake`.
        self.sampler: object | None = None
        self._on_late = on_late
        self._on_overslept = on_overslept
        self._counts = [0] * page.BUCKETS
        self._sums_ns = [0] * page.BUCKETS
        self._written_ns = 0
        self._timer: DeadMan | None = None
        self._timing: Timing | None = None
        self._slot: SelectorSlot | None = None
        self._thread_clock: ThreadClock | None = None
        # Of a loop without a selector in Python, and the totals of those that have stopped.
        self._lookout: Lookout | None = None
        self._counted = self._counted_ns = 0
        self._looked_ns = 0
        self._watched_files: type[WatchedFiles]
        # What it waits for, as found in the turn that began at that time.
        self._files: tuple[int, WatchedFiles | None] = (0, None)

    def begin(self, loop: AbstractEventLoop, timer: DeadMan) -> str:
        """Time the turns of *loop*, which is about to run in this thread, and return how they are timed.

        *timer* is restarted repeatedly, so it does not run out while the loop is on time.
        """
        self.loop, self._timer = loop, timer
        self.thread_ident = threading.get_ident()
        self.native_thread_id = self.words[page.THREAD] = threading.get_native_id()
        self.words[page.SINCE_NS] = monotonic_ns()
        self._thread_clock = ThreadClock()
        self._run_queue = RunQueue(self.native_thread_id)
        if (slot := SelectorSlot.of(loop)) is None or not slot.hook.is_on:
            return self._begin_looking(loop, timer)
        # What the loop does before its first `select` is a turn as well.
        began_s = monotonic()
        self.alive(began_s)
        if slot.is_epolls_own:
            timed = epoll_timing.timed_epoll(slot.selector, slot.own, self, began_s, slot.hook.caught)
            mechanism = EXACT
        else:
            timed = epoll_timing.timed_select(slot.own, self, began_s, slot.hook.caught)
            mechanism = WRAPPED
        self._slot, self._timing = slot, timed
        slot.hook.when_undone(self._undone)
        slot.take(timed.select)
        return mechanism

    def end(self) -> None:
        """Count the last turn of the loop, which has stopped, and restore its selector."""
        if (timing := self._timing) is not None:
            self.detach()
            began_s, _ = timing.state()
            if began_s:
                self.long_turn(began_s, monotonic())
            timing.fold()
            self._timing = None
        if self._lookout is not None:
            self._lookout.end()
        self.stopped()
        self.loop = None

    def stopped(self) -> None:
        """Note on the page that no loop runs here, or is watched, any more."""
        self._end_looking()
        self.words[page.TURN] = self.words[page.DUE] = 0
        since_ns, self.words[page.SINCE_NS] = self.words[page.SINCE_NS], 0
        if since_ns:
            self.words[page.RAN_NS] += monotonic_ns() - since_ns
        self._close_run_queue()
        self.write_page()

    def state(self) -> tuple[int, int]:
        """When the running turn began, and when the waiting loop is due (ns); at least one of them is 0."""
        if self._timing is None:
            return self._lookout.clock.peek() if self._lookout is not None else 0, 0
        began_s, due_s = self._timing.state()
        return int(began_s * 1e9), 0 if due_s == NEVER else int(due_s * 1e9)

    def running_since_s(self) -> float:
        """When the running turn began (s), 0 while the loop waits; the exact value identifies the turn."""
        if self._timing is not None:
            return self._timing.state()[0]
        return self._lookout.clock.peek() / 1e9 if self._lookout is not None else 0.0

    def detach(self) -> None:
        """Restore the selector, and count nothing more."""
        if self._lookout is not None:
            self._lookout.silence()
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.leave()

    def _undone(self) -> None:
        """Called when the timing ends. After an error, nothing is known of the turns from then on."""
        if self._slot is not None:
            self._slot = self._timing = None
            self.stopped()

    def abandon(self) -> None:
        """Release the parent's selector and page in a child after `fork`."""
        self.detach()
        self._close_run_queue()
        self.words = memoryview(bytearray(self.words)).cast("q")

    def write_page(self) -> None:
        """Write this thread's counts to the shared page."""
        if self._timing is not None:
            self._timing.fold()
        words, counts, sums = self.words, self._counts, self._sums_ns
        words[page.COUNTS : page.COUNTS + page.BUCKETS] = memoryview(array("q", counts))
        words[page.SUMS : page.SUMS + page.BUCKETS] = memoryview(array("q", sums))
        turns, busy_ns = self._counted, self._counted_ns
        if (lookout := self._lookout) is not None:
            totals = lookout.clock.totals(monotonic_ns())
            turns += totals.turns or 0
            busy_ns += totals.busy_ns
        words[page.TURNS] = turns + sum(counts)
        words[page.BUSY_NS] = busy_ns + sum(sums)

    def reading(self) -> Page:
        """The counters now; on any thread."""
        self.write_page()
        # A copy: the page itself also holds what the watchdog and the loop write at any moment.
        words = self.words.tolist()
        if self.loop is not None:
            words[page.TURN], words[page.DUE] = self.state()
        return page.reading(words)

    def timed(self) -> int:
        """The number of turns that were timed one by one."""
        return sum(self._counts)

    def ready_files(self, *, elsewhere: bool = False) -> list[tuple[selectors.SelectorKey, int]]:
        """The files and sockets that are ready now; *elsewhere*: called on another thread than the loop's.

        This hides nothing from the loop: these selectors report a file for as long as it is ready. Only epoll
        may be asked by two threads at once.
        """
        slot = self._slot
        if slot is None or slot.kind not in (_LASTING[:1] if elsewhere else _LASTING):
            return []
        return slot.kind.select(slot.selector, 0)  # type: ignore[no-any-return]

    def thread_cpu_ns(self) -> int:
        """The CPU time of the loop's thread so far; on any thread."""
        return self._thread_clock.cpu_ns() if self._thread_clock is not None else 0

    # --- a loop without a selector in Python, on the watchdog's thread

    def look(self, now_ns: int, frame: FrameType | None) -> tuple[int, int]:
        """As `state`, where the loop's thread is in *frame*; this is what finds the end of a late turn."""
        if (lookout := self._lookout) is None:
            return self.state()
        looked_ns, self._looked_ns = self._looked_ns, now_ns
        turn_ns, due_ns = lookout.look(now_ns, frame)
        # Before a late turn begins, or as soon after that as possible.
        if turn_ns > looked_ns or not (turn_ns or due_ns):
            self.mark(now_ns)
        return turn_ns, due_ns

    def runner(self) -> CodeType | None:
        """The function that runs the loop, the innermost while it waits; `None` for a loop that is timed."""
        return self._lookout.clock.runner if self._lookout is not None else None

    def waiting_files(self, began_ns: int) -> list[WaitingFile]:
        """The sockets that are ready now and wait for the end of the turn that began at *began_ns*."""
        if self.loop is None or self._lookout is None or (epoll := self._lookout.clock.epoll()) < 0:
            return []
        turn_ns, files = self._files
        if turn_ns != began_ns or files is None:
            try:
                files = self._watched_files(self.loop, epoll)
            except OSError:  # the kernel does not list them, or the loop has closed its epoll
                return []
            self._files = began_ns, files
        return files.ready()

    def look_after(self, since_ns: int) -> int:
        """How long after now to look at a turn that has lasted *since_ns*; below 0, it will begin so late."""
        late_ns = self.look_after_ns - since_ns
        if self._lookout is None:
            return max(1, late_ns)  # of a loop that waits: long after the next sign of life
        return max(1, min(self._lookout.clock.look_again_ns() or self.look_after_ns, late_ns))

    @property
    def is_looked_at(self) -> bool:
        """Whether a loop runs that only shows what it does to who looks."""
        return self._lookout is not None

    def late_turn(self, began_ns: int, ended_ns: int) -> None:
        """Called after a late turn that is in the totals already."""
        self._late(began_ns, ended_ns)

    def woke_late(self, due_ns: int, woke_ns: int) -> None:
        """Called after the loop woke up later than it should have."""
        self.words[page.TURN] = due_ns
        self._on_overslept(due_ns, woke_ns)

    def _begin_looking(self, loop: AbstractEventLoop, timer: DeadMan) -> str:
        # Not at the top: most loops have a selector.
        with importing():
            from . import clocks, waiting_file
            from .lookout import Lookout

        assert self._thread_clock is not None
        self._watched_files = waiting_file.WatchedFiles
        clock, is_counted = clocks.of(loop, self._thread_clock)
        self.words[page.UNTIMED] |= page.COUNTED if is_counted else page.UNCOUNTED
        self._lookout = Lookout(clock, self)
        self.mark(now_ns := monotonic_ns())
        self.words[page.TURN] = now_ns
        timer.set(self.look_after_ns)
        return clock.mechanism

    def _end_looking(self) -> None:
        lookout, self._lookout = self._lookout, None
        self._files = (0, None)
        if lookout is not None:
            totals = lookout.clock.totals(monotonic_ns())
            self._counted += totals.turns or 0
            self._counted_ns += totals.busy_ns

    # --- called by the timing (`epoll_timing.py`); none of this may raise into the loop

    def alive(self, now_s: float) -> None:
        """Called at a sign of life: the loop is on time at this moment."""
        now_ns = int(now_s * 1e9)
        self.words[page.TURN] = now_ns
        self.words[page.STOPPED_NS] = 0  # set if the process was about to end, and did not
        if self._timer is not None:
            self._timer.set(self.look_after_ns)
        self.mark(now_ns)

    def mark(self, now_ns: int) -> None:
        """Note this moment and the thread's CPU time as the baseline for the next late turn."""
        cpu_ns = self.thread_cpu_ns() if self._lookout is not None else thread_time_ns()
        self.marked, self.marked_queued_ns = (now_ns, cpu_ns), self._waited_ns()
        if now_ns - self._written_ns >= WRITE_EVERY_NS:
            self._written_ns = now_ns
            self.write_page()
            if self.on_counted is not None:
                self.on_counted(now_ns, cpu_ns, self.marked_queued_ns or 0)

    def queued_ns(self) -> int | None:
        """How long the loop's thread has waited for a processor since the mark; `None` if that is unknown."""
        waited_ns, marked_ns = self._waited_ns(), self.marked_queued_ns
        return waited_ns - marked_ns if waited_ns is not None and marked_ns is not None else None

    def _close_run_queue(self) -> None:
        queue, self._run_queue = self._run_queue, None
        if queue is not None:
            queue.close()

    def _waited_ns(self) -> int | None:
        queue = self._run_queue
        return queue.waited_ns() if queue is not None else None

    def short_turns(self, number: int, total_s: float) -> None:
        """Count *number* short turns, which took *total_s* together."""
        self._counts[SHORT_BUCKET] += number
        self._sums_ns[SHORT_BUCKET] += int(total_s * 1e9)

    def long_turn(self, began_s: float, ended_s: float) -> None:
        """Count one turn that was not short."""
        self.count(int(began_s * 1e9), int(ended_s * 1e9))

    def count(self, began_ns: int, ended_ns: int) -> None:
        """Count one turn."""
        held_ns = ended_ns - began_ns
        bucket = max(SHORT_BUCKET, held_ns.bit_length())
        self._counts[bucket] += 1
        self._sums_ns[bucket] += held_ns
        self._late(began_ns, ended_ns)

    def _late(self, began_ns: int, ended_ns: int) -> None:
        held_ns = ended_ns - began_ns
        if held_ns > self.words[page.LONGEST_NS]:
            self.words[page.LONGEST_NS] = held_ns
        if held_ns >= self.limit_ns:
            self.words[page.BLOCKS] += 1
            page.note_late(self.words, began_ns, held_ns)
            self.write_page()  # the process may be killed before the next one
            self._on_late(began_ns, ended_ns)
        elif held_ns >= self.look_after_ns and self.on_in_time is not None:
            self.on_in_time()
        # Those who waited for files are not kept until the next late turn.
        self._files = (0, None)

    def overslept(self, due_s: float, woke_s: float) -> None:
        """Called when the loop woke up later than it should have, before any callback has run."""
        due_ns = int(due_s * 1e9)
        self.words[page.TURN] = due_ns
        if self._timer is not None:
            self._timer.set(self.look_after_ns)
        self._on_overslept(due_ns, int(woke_s * 1e9))
