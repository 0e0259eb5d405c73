"""Stands in for a selector's `select`, and times the turns between its calls.

`timed_epoll` does the whole work of `EpollSelector.select` itself: wrapping it would cost a fifth of the
shortest turns. It adds one clock reading to a turn that continues at once; everything else about a turn
is worked out only when it was not short, after a few dozen short ones, or by the watchdog.
"""

from __future__ import annotations

import select as system
import selectors
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, Protocol

from ...record.clock import monotonic
from ..hooks import loop_state

# A turn shorter than this is only counted. It is the length of the page's bucket `SHORT_BUCKET`.
SHORT_BUCKET = 16
SHORT_S = 2**SHORT_BUCKET / 1e9
# Short turns are counted down in numbers that Python has ready made: to make one takes as long as the rest.
MOST_LEFT = 250
# So much later than it is due may a sign of life come, because nobody looks before the count is over.
LATER = 0.25
# Room for so many files at a time is got without asking how many there are, and costs no more than for one.
ROOM = 32
NOT_IN, NOT_OUT = (~getattr(system, name, 0) for name in ("EPOLLIN", "EPOLLOUT"))
# A wait without an end is never too late.
NEVER = float("inf")

Ready = list[tuple[selectors.SelectorKey, int]]
Select = Callable[..., Ready]


class TurnListener(Protocol):
    """Who is told of the turns. Times are seconds of `time.monotonic`."""

    set_every_s: float
    # Told of the beginning and end of every wait.
    on_wait: Callable[[float], None] | None
    on_wake: Callable[[float], None] | None

    def long_turn(self, began_s: float, ended_s: float) -> None:
        """One turn that was not short is over."""

    def short_turns(self, number: int, total_s: float) -> None:
        """So many short turns are over, which took so long together."""

    def overslept(self, due_s: float, woke_s: float) -> None:
        """The loop woke up later than it should have; no callback has run yet."""

    def alive(self, now_s: float) -> None:
        """A sign of life: the loop is at the beginning of a turn, on time."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A timed `select`, and what it knows."""

    select: Select
    # When the running turn began, and when the loop should be awake again: one of the two, the other is 0.
    state: Callable[[], tuple[float, float]]
    # Tell the listener of the short turns so far.
    fold: Callable[[], None]


def timed_epoll(selector: Any, listener: TurnListener, began: float) -> Timing:
    """In the place of `EpollSelector.select`, for a turn that began then."""
    # Everything the fast path touches is a local of this closure: no attribute look-ups per turn. The clock
    # is the function itself, which nobody finds in here to replace.
    clock, (poll, keys) = monotonic.func, loop_state.epoll(selector)
    set_every = listener.set_every_s
    due = 0.0
    short, total, run_began = 0, 0.0, began  # a run: turns that follow each other at once
    set_again = began + set_every
    # How many short turns may follow until the next look at all the rest, and how many there were to be.
    at_most = max(1, min(MOST_LEFT, int(set_every * LATER / SHORT_S)))
    left = given = at_most

    # Each variable of the closure that a function knows costs every call of it: so this one knows few.
    def select(timeout: float | None = None) -> Ready:
        nonlocal began, left
        now = clock()
        if timeout == 0 and left and now - began < SHORT_S:
            left -= 1
            # The next turn begins here: what the poll takes belongs to it, and next to nothing it is,
            # unless somebody else keeps the GIL meanwhile.
            began = now
            happened = poll(0, ROOM)
            if not happened:
                return happened  # type: ignore[no-any-return]
            if len(happened) == ROOM:
                # There may be more: all are told at once, as the selector itself does.
                happened = poll(0, len(keys))
        else:
            happened = wait(timeout, now)
        ready: Ready = []
        for fd, event in happened:
            key = keys.get(fd)
            if key:
                events = (event & NOT_IN and EVENT_WRITE) | (event & NOT_OUT and EVENT_READ)
                ready.append((key, events & key.events))
        return ready

    def wait(timeout: float | None, now: float) -> list[tuple[int, int]]:
        """What has happened, to a loop that is going to wait; also after a long turn, and now and then."""
        nonlocal began, due, short, total, run_began, set_again, left, given
        happened: list[tuple[int, int]]
        wait_s: float
        if now - began >= SHORT_S:
            total += began - run_began
            run_began = now
            listener.long_turn(began, now)
        elif left:
            left -= 1
        else:
            short += given + 1
            left = given = at_most
        if timeout is not None and timeout <= 0:
            began = now
            happened = poll(0, len(keys) or 1)
        else:
            total += now - run_began
            if listener.on_wait is not None:
                listener.on_wait(now)
            if timeout is None:
                due, wait_s = NEVER, -1
            else:
                # epoll waits whole milliseconds; asyncio wants at least the time it asked for.
                wait_s = ceil(timeout * 1e3) * 1e-3
                due = now + wait_s
            try:
                happened = poll(wait_s, len(keys) or 1)
            except InterruptedError:
                happened = []
            now = began = clock()
            if listener.on_wake is not None:
                listener.on_wake(now)
            if now - due >= set_every:
                began = due
                listener.overslept(due, now)
            run_began, due = began, 0.0
        # Not when it is late: what a late turn is compared with is from before it all began. As soon as it is
        # well again, then, and not a while later: the next turn may be the late one.
        if now >= set_again and now - began < set_every:
            set_again = now + set_every
            listener.alive(now)
        return happened

    def state() -> tuple[float, float]:
        return (0.0, due) if due else (began, 0.0)

    def fold() -> None:
        nonlocal short, total, run_began, given
        number, seconds = short + given - left, total
        given = left
        if not due:
            seconds += began - run_began
            run_began = began
        short, total = 0, 0.0
        listener.short_turns(number, seconds)

    return Timing(select, state, fold)


def timed_select(own: Select, listener: TurnListener, began: float) -> Timing:
    """Around a `select` that is not epoll's, or that somebody else has replaced."""
    due = 0.0
    set_again = began + listener.set_every_s

    def select(timeout: float | None = None) -> Ready:
        nonlocal began, due, set_again
        now = monotonic()
        listener.long_turn(began, now)
        if listener.on_wait is not None:
            listener.on_wait(now)
        due = NEVER if timeout is None else now + max(0.0, timeout)
        try:
            return own(timeout)
        finally:
            now = began = monotonic()
            if listener.on_wake is not None:
                listener.on_wake(now)
            if now - due >= listener.set_every_s:
                began = due
                listener.overslept(due, now)
            elif now >= set_again:
                set_again = now + listener.set_every_s
                listener.alive(now)
            due = 0.0

    def state() -> tuple[float, float]:
        return (0.0, due) if due else (began, 0.0)

    return Timing(select, state, fold=lambda: None)
