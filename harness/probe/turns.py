"""Times the turns of a loop, from the selector's return to its next call, at next to no cost.

A turn, not a callback, is the unit of blocking: many short callbacks and one long one are both a long turn.
asyncio calls `select` on the selector object of its loop once per turn, so an attribute of that object is
all that is replaced, and only while the loop runs. The replacement does the whole work of
`EpollSelector.select` itself: a wrapper around it costs a fifth of the shortest turns, this costs nothing
that can be measured (`benchmarks/`).
"""

from __future__ import annotations

import select as system
import selectors
import threading
from array import array
from asyncio import AbstractEventLoop
from collections.abc import Callable
from math import ceil
from time import monotonic_ns, thread_time_ns
from typing import Any

from ..record import page
from .beats import Beats
from .deadman import DeadMan

Select = Callable[..., list[tuple[selectors.SelectorKey, int]]]

# How a loop's turns are timed, as the record says it.
EXACT, WRAPPED, BEATS = "select", "wrapped", "beats"

# A wait without an end is never too late.
NEVER = 1 << 62

_EPOLL = getattr(selectors, "EpollSelector", None)


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
        self.look_after_ns = limit_ns // 2
        # Setting the timer is a system call: turns that follow each other faster than this share one.
        self.set_every_ns = limit_ns // 5
        # When the timer was last set, and the thread's CPU time then: what a late turn is compared with.
        self.marked = (0, 0)
        self._on_late = on_late
        self._on_overslept = on_overslept
        self._counts = [0] * page.BUCKETS
        self._sums_ns = [0] * page.BUCKETS
        self._selector: Any = None
        self._below: Any = None  # what stood in the selector before us: another watch, or somebody's own
        self._beats: Beats | None = None

    def begin(self, loop: AbstractEventLoop, timer: DeadMan) -> str:
        """Time the turns of *loop*, which is about to run in this thread; how, is the answer.

        *timer* is kept from running out while the loop is well.
        """
        self.loop = loop
        self.thread_ident = threading.get_ident()
        self.native_thread_id = self.words[page.THREAD] = threading.get_native_id()
        selector: Any = getattr(loop, "_selector", None)
        own = getattr(selector, "select", None)
        if own is None:
            self._beats = Beats(loop, timer, self)
            return BEATS
        # The loop works until its first `select`: that is a turn as well.
        began_ns = monotonic_ns()
        self.words[page.TURN] = began_ns
        timer.set(self.look_after_ns)
        self.mark(began_ns)
        self._below = vars(selector).get("select")
        if type(selector) is _EPOLL and self._below is None:
            selector.select = self._replacement(selector, timer, began_ns)
            mechanism = EXACT
        else:
            selector.select = self._wrapper(own, timer, began_ns)
            mechanism = WRAPPED
        self._selector = selector
        return mechanism

    def end(self) -> None:
        """The loop stopped: count its last turn, and give its selector back as it was."""
        if self._selector is not None:
            self.detach()
            began_ns, ended_ns = self.words[page.TURN], monotonic_ns()
            if began_ns:
                self.count(began_ns, ended_ns)
        if self._beats is not None:
            self._beats.end()
            self._beats = None
        self.words[page.TURN] = self.words[page.DUE] = 0
        self.write_page()
        self.loop = None

    def detach(self) -> None:
        """Give the selector back as it was, and count nothing more."""
        if self._beats is not None:
            self._beats.silence()
        selector, self._selector = self._selector, None
        # Whoever replaced it after us keeps theirs.
        if getattr(vars(selector or self).get("select"), "_harness", None) is not self:
            return
        below = self._below
        # Another watch that stood below us may have left meanwhile.
        while (other := getattr(below, "_harness", None)) is not None and other._selector is not selector:
            below = other._below
        if below is None:
            del selector.select
        else:
            selector.select = below

    def write_page(self) -> None:
        """Bring the shared page up to date with what this thread counted."""
        words, counts, sums = self.words, self._counts, self._sums_ns
        words[page.COUNTS : page.COUNTS + page.BUCKETS] = memoryview(array("q", counts))
        words[page.SUMS : page.SUMS + page.BUCKETS] = memoryview(array("q", sums))
        words[page.TURNS] = sum(counts)
        words[page.BUSY_NS] = sum(sums)

    def count(self, began_ns: int, ended_ns: int) -> None:
        """Count one turn."""
        held_ns = ended_ns - began_ns
        bucket = held_ns.bit_length()
        self._counts[bucket] += 1
        self._sums_ns[bucket] += held_ns
        if held_ns >= self.limit_ns:
            self._late(began_ns, ended_ns)

    def _late(self, began_ns: int, ended_ns: int) -> None:
        words = self.words
        words[page.BLOCKS] += 1
        words[page.LONGEST_NS] = max(words[page.LONGEST_NS], ended_ns - began_ns)
        self._on_late(began_ns, ended_ns)

    def mark(self, now_ns: int) -> None:
        """Take note that the loop is well at this moment, and of its thread's CPU time."""
        self.marked = (now_ns, thread_time_ns())
        self.write_page()

    def _replacement(self, selector: Any, timer: DeadMan, began_ns: int) -> Select:
        # Everything the fast path touches is a local of this closure: no attribute look-ups per turn.
        clock, words, turn_word, due_word = monotonic_ns, self.words, page.TURN, page.DUE
        counts, sums_ns, limit_ns = self._counts, self._sums_ns, self.limit_ns
        late, mark, overslept = self._late, self.mark, self._on_overslept
        set_timer, look_after_ns, set_every_ns = timer.set, self.look_after_ns, self.set_every_ns
        set_again_ns = began_ns + set_every_ns
        poll = selector._selector.poll
        keys = selector._fd_to_key
        event_read, event_write = selectors.EVENT_READ, selectors.EVENT_WRITE
        not_in, not_out = ~system.EPOLLIN, ~system.EPOLLOUT

        def select(timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            nonlocal began_ns, set_again_ns
            now_ns = clock()
            held_ns = now_ns - began_ns
            bucket = held_ns.bit_length()
            counts[bucket] += 1
            sums_ns[bucket] += held_ns
            if held_ns >= limit_ns:
                late(began_ns, now_ns)
            if timeout is None:
                words[turn_word] = 0
                due_ns, wait = NEVER, -1.0
            elif timeout <= 0:
                due_ns, wait = now_ns, 0.0
            else:
                # epoll waits whole milliseconds; asyncio wants at least the time it asked for.
                wait = ceil(timeout * 1e3) * 1e-3
                words[due_word] = due_ns = now_ns + int(wait * 1e9)
                words[turn_word] = 0
            ready: list[tuple[selectors.SelectorKey, int]] = []
            try:
                happened = poll(wait, len(keys) or 1)
            except InterruptedError:
                happened = ()
            now_ns = clock()
            if now_ns - due_ns >= set_every_ns:
                overslept(due_ns, now_ns)
                words[turn_word] = began_ns = due_ns
                set_timer(look_after_ns)  # but no new mark: the old one is from before it all began
            else:
                words[turn_word] = began_ns = now_ns
                if now_ns >= set_again_ns:
                    set_again_ns = now_ns + set_every_ns
                    set_timer(look_after_ns)
                    mark(now_ns)
            words[due_word] = 0
            for fd, event in happened:
                key = keys.get(fd)
                if key:
                    events = (event & not_in and event_write) | (event & not_out and event_read)
                    ready.append((key, events & key.events))
            return ready

        select._harness = self  # type: ignore[attr-defined]
        return select

    def _wrapper(self, own: Select, timer: DeadMan, began_ns: int) -> Select:
        # For selectors that are not epoll, or that somebody else has changed.
        words, set_again_ns = self.words, began_ns + self.set_every_ns

        def select(timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            nonlocal began_ns, set_again_ns
            now_ns = monotonic_ns()
            self.count(began_ns, now_ns)
            due_ns = NEVER if timeout is None else now_ns + int(max(0, timeout) * 1e9)
            words[page.DUE] = 0 if timeout is None else due_ns
            words[page.TURN] = 0
            try:
                return own(timeout)
            finally:
                now_ns = began_ns = monotonic_ns()
                if now_ns - due_ns >= self.set_every_ns:
                    self._on_overslept(due_ns, now_ns)
                    began_ns = due_ns
                    timer.set(self.look_after_ns)
                elif now_ns >= set_again_ns:
                    set_again_ns = now_ns + self.set_every_ns
                    timer.set(self.look_after_ns)
                    self.mark(now_ns)
                words[page.TURN] = began_ns
                words[page.DUE] = 0

        select._harness = self  # type: ignore[attr-defined]
        return select
