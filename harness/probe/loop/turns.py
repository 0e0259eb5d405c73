"""Times the turns of a loop, from the selector's return to its next call, at next to no cost.

A turn, not a callback, is the unit of blocking: many short callbacks and one long one are both a long turn.
asyncio calls its selector's `select` once per turn, so that is all that is replaced (`seat.py`), by one that
keeps the time (`selecting.py`), and only while the loop runs.
"""

from __future__ import annotations

import selectors
import threading
from array import array
from asyncio import AbstractEventLoop
from collections.abc import Callable
from time import thread_time_ns

from ...record import page
from ...record.clock import monotonic
from ..hooks.selector_slot import SelectorSlot
from . import epoll_timing
from .deadman import DeadMan
from .epoll_timing import NEVER, SHORT_BUCKET, Timing
from .heartbeat import Heartbeat

# How a loop's turns are timed, as the record says it.
EXACT, WRAPPED, BEATS = "select", "wrapped", "beats"

# A process that is killed loses the counts of this time.
WRITE_EVERY_NS = 100_000_000

# Selectors whose answer does not change by asking.
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

        *on_overslept(due_ns, woke_ns)* is told when the loop woke up late, before any callback has run; the
        turn that follows counts from *due_ns*. *on_late(began_ns, ended_ns)* takes the turns over the limit.
        """
        self.words = words
        self.loop: AbstractEventLoop | None = None
        self.thread_ident = self.native_thread_id = 0
        self.limit_ns = limit_ns
        # The watchdog is woken this long after the loop last gave a sign: early enough to see the first
        # half of a block, late enough that a healthy loop never wakes it.
        self.look_after_ns = page.sample_after_ns(limit_ns)
        # A sign of life sets the timer, which is a system call: turns that follow faster share one.
        self.set_every_s = limit_ns / 5e9
        # The last sign of life, and the thread's CPU time then: what a late turn is compared with.
        self.marked = (0, 0)
        # Called with the time (s) whenever the loop is about to wait, and is awake again; `None` for nobody.
        self.on_wait: Callable[[float], None] | None = None
        self.on_wake: Callable[[float], None] | None = None
        # Who takes samples of these turns: two would take `on_wake` from each other.
        self.sampler: object | None = None
        self._on_late = on_late
        self._on_overslept = on_overslept
        self._counts = [0] * page.BUCKETS
        self._sums_ns = [0] * page.BUCKETS
        self._written_ns = 0
        self._timer: DeadMan | None = None
        self._timing: Timing | None = None
        self._seat: SelectorSlot | None = None
        self._beats: Heartbeat | None = None

    def begin(self, loop: AbstractEventLoop, timer: DeadMan) -> str:
        """Time the turns of *loop*, which is about to run in this thread; how, is the answer.

        *timer* is kept from running out while the loop is well.
        """
        self.loop, self._timer = loop, timer
        self.thread_ident = threading.get_ident()
        self.native_thread_id = self.words[page.THREAD] = threading.get_native_id()
        seat = SelectorSlot.of(loop)
        if seat is None:
            self._beats = Heartbeat(loop, timer, self)
            return BEATS
        # The loop works until its first `select`: that is a turn as well.
        began_s = monotonic()
        self.alive(began_s)
        if seat.is_epolls_own:
            mechanism, timing = EXACT, epoll_timing.timed_epoll(seat.selector, self, began_s)
        else:
            mechanism, timing = WRAPPED, epoll_timing.timed_select(seat.own, self, began_s)
        self._seat, self._timing = seat, timing
        seat.take(timing.select)
        return mechanism

    def end(self) -> None:
        """The loop stopped: count its last turn, and give its selector back as it was."""
        timing = self._timing
        if timing is not None:
            self.detach()
            began_s, _ = timing.state()
            if began_s:
                self.long_turn(began_s, monotonic())
            timing.fold()
            self._timing = None
        if self._beats is not None:
            self._beats.end()
            self._beats = None
        self.words[page.TURN] = self.words[page.DUE] = 0
        self.write_page()
        self.loop = None

    def state(self) -> tuple[int, int]:
        """When the running turn began, and when the waiting loop is due (ns); one of them is 0, or both."""
        if self._timing is None:
            return 0, int(self.words[page.DUE])
        began_s, due_s = self._timing.state()
        return int(began_s * 1e9), 0 if due_s == NEVER else int(due_s * 1e9)

    def running_since_s(self) -> float:
        """When the running turn began, as exactly as it is told from the next one; 0 while the loop waits."""
        if self._timing is not None:
            return self._timing.state()[0]
        return self.words[page.DUE] / 1e9 if self._beats is not None else 0.0

    def detach(self) -> None:
        """Give the selector back as it was, and count nothing more."""
        if self._beats is not None:
            self._beats.silence()
        seat, self._seat = self._seat, None
        if seat is not None:
            seat.leave()

    def abandon(self) -> None:
        """Let go of the selector and of the page in a child after `fork`: both are the parent's."""
        self.detach()
        self.words = memoryview(bytearray(self.words)).cast("q")

    def write_page(self) -> None:
        """Bring the shared page up to date with what this thread counted."""
        if self._timing is not None:
            self._timing.fold()
        words, counts, sums = self.words, self._counts, self._sums_ns
        words[page.COUNTS : page.COUNTS + page.BUCKETS] = memoryview(array("q", counts))
        words[page.SUMS : page.SUMS + page.BUCKETS] = memoryview(array("q", sums))
        words[page.TURNS] = sum(counts)
        words[page.BUSY_NS] = sum(sums)

    def ready_files(self) -> list[tuple[selectors.SelectorKey, int]]:
        """The files and sockets that wait for the loop at this moment; on its thread only.

        To ask takes nothing away: these selectors tell of a file for as long as it is ready.
        """
        if self._seat is None or (kind := self._seat.kind) not in _LASTING:
            return []
        ready: list[tuple[selectors.SelectorKey, int]] = kind.select(self._seat.selector, 0)
        return ready

    # --- what is told by the timing (`selecting.py`, `beats.py`); nothing of it may raise into the loop

    def alive(self, now_s: float) -> None:
        """The loop is well at this moment."""
        now_ns = int(now_s * 1e9)
        self.words[page.TURN] = now_ns
        if self._timer is not None:
            self._timer.set(self.look_after_ns)
        self.mark(now_ns)

    def mark(self, now_ns: int) -> None:
        """Take note of this moment, and of the thread's CPU time."""
        self.marked = (now_ns, thread_time_ns())
        if now_ns - self._written_ns >= WRITE_EVERY_NS:
            self._written_ns = now_ns
            self.write_page()

    def short_turns(self, number: int, total_s: float) -> None:
        """So many short turns are over, which took so long together."""
        self._counts[SHORT_BUCKET] += number
        self._sums_ns[SHORT_BUCKET] += int(total_s * 1e9)

    def long_turn(self, began_s: float, ended_s: float) -> None:
        """One turn that was not short is over."""
        self.count(int(began_s * 1e9), int(ended_s * 1e9))

    def count(self, began_ns: int, ended_ns: int) -> None:
        """Count one turn."""
        held_ns = ended_ns - began_ns
        bucket = max(SHORT_BUCKET, held_ns.bit_length())
        self._counts[bucket] += 1
        self._sums_ns[bucket] += held_ns
        if held_ns > self.words[page.LONGEST_NS]:
            self.words[page.LONGEST_NS] = held_ns
        if held_ns >= self.limit_ns:
            self.words[page.BLOCKS] += 1
            self._on_late(began_ns, ended_ns)

    def overslept(self, due_s: float, woke_s: float) -> None:
        """The loop woke up later than it should have; no callback has run yet."""
        due_ns = int(due_s * 1e9)
        self.words[page.TURN] = due_ns
        if self._timer is not None:
            self._timer.set(self.look_after_ns)
        self._on_overslept(due_ns, int(woke_s * 1e9))
