"""Replacements for a selector's `select` that time the turns between its calls.

`timed_epoll` does all the work of `EpollSelector.select` itself: wrapping it would add a fifth to the
shortest turns. It adds one clock reading to a turn after which the loop does not wait; everything else is
computed only after a turn that was not short, after a batch of short ones, or by the watchdog.
"""

from __future__ import annotations

import select as system
import selectors
from collections.abc import Callable
from math import ceil
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from ...record.clock import monotonic
from ...record.value import Row
from ..hooks.state import loop_state

# A turn shorter than this is only counted: the upper bound of the page's bucket `SHORT_BUCKET`.
SHORT_BUCKET = 16
SHORT_S = 2**SHORT_BUCKET / 1e9
# Short turns are counted down in small integers, which Python caches: creating one would double the cost.
MOST_LEFT = 250
# How late a sign of life may be, as a share of its interval: it is only checked after a batch of short turns.
LATER = 0.25
# Ready files fetched in a short turn, without computing the exact limit; that costs no more than one file.
ROOM = 32
NOT_IN, NOT_OUT = (~getattr(system, name, 0) for name in ("EPOLLIN", "EPOLLOUT"))
# The due time of a wait without a timeout.
NEVER = float("inf")

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Every process that runs a loop loads this file.
    from typing import Protocol

    class TurnListener(Protocol):
        """Receives what the timing measures. Times are seconds of `time.monotonic`."""

        set_every_s: float
        # Called at the beginning and at the end of every wait.
        on_wait: Callable[[float], None] | None
        on_wake: Callable[[float], None] | None

        def long_turn(self, began_s: float, ended_s: float) -> None:
            """Called after a turn that was not short."""

        def short_turns(self, number: int, total_s: float) -> None:
            """Called after *number* short turns, which took *total_s* together."""

        def overslept(self, due_s: float, woke_s: float) -> None:
            """Called when the loop woke up later than it should have, before any callback has run."""

        def alive(self, now_s: float) -> None:
            """Called at a sign of life: the loop begins a turn, on time."""


Ready = list[tuple[selectors.SelectorKey, int]]
Select = Callable[..., Ready]
Caught = Callable[[BaseException], bool]


class Timing(Row):
    """A timed `select`, and access to its state."""

    select: Select
    # When the running turn began, and when the waiting loop is due: one of the two is 0.
    state: Callable[[], tuple[float, float]]
    # Report the short turns so far to the listener.
    fold: Callable[[], None]


def _bare_clock() -> Callable[[], float]:
    """The function behind `monotonic`."""
    clock: Callable[[], float] = monotonic.__self__  # type: ignore[attr-defined]  # it is a bound call
    return clock


def timed_epoll(selector: Any, own: Select, listener: TurnListener, began: float, caught: Caught) -> Timing:
    """A replacement for `EpollSelector.select`; the running turn began at *began*.

    *own* is the selector's own `select`, and *caught* is `Hook.caught`: an error undoes the replacement.
    """
    # Everything that the fast path uses is a local of this closure: no attribute look-ups per turn. The clock
    # is the function itself, which a test that freezes time cannot replace in here.
    clock = _bare_clock()
    poll, keys = loop_state.epoll(selector)
    set_every = listener.set_every_s
    due = 0.0
    short, total, run_began = 0, 0.0, began  # a run: turns without a wait between them
    set_again = began + set_every
    # Short turns that may follow before everything else is checked: those left, of those given.
    at_most = max(1, min(MOST_LEFT, int(set_every * LATER / SHORT_S)))
    left = given = at_most

    # Each closure variable that a function uses adds to the cost of every call, so this one uses few.
    def select(timeout: float | None = None) -> Ready:
        nonlocal began, left
        try:
            now = clock()
            if timeout == 0 and left and now - began < SHORT_S:
                left -= 1
                # The next turn begins here. It includes the poll, which takes next to no time unless another
                # thread keeps the GIL meanwhile.
                began = now
                happened = poll(0, ROOM)
                if not happened:
                    return happened  # type: ignore[no-any-return]
                if len(happened) == ROOM:
                    # There may be more: all are returned at once, as the selector itself does.
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
        except BaseException as exc:
            if not caught(exc):
                raise
        # What is ready now is still ready: epoll reports it again.
        return own(timeout)

    def wait(timeout: float | None, now: float) -> list[tuple[int, int]]:
        """The slow path: before a wait, after a turn that was not short, and after a batch of short ones."""
        nonlocal began, due, short, total, run_began, set_again, left, given
        happened: list[tuple[int, int]]
        # epoll waits whole milliseconds; asyncio must not be woken before its timeout.
        wait_s = -1 if timeout is None else 0 if timeout <= 0 else ceil(timeout * 1e3) * 1e-3
        try:
            if now - began >= SHORT_S:
                total += began - run_began
                run_began = now
                listener.long_turn(began, now)
            elif left:
                left -= 1
            else:
                short += given + 1
                left = given = at_most
            if not wait_s:
                began = now
            else:
                total += now - run_began
                if listener.on_wait is not None:
                    listener.on_wait(now)
                due = NEVER if timeout is None else now + wait_s
        except BaseException as exc:
            if not caught(exc):
                raise
        try:
            happened = poll(wait_s, len(keys) or 1)
        except InterruptedError:
            happened = []
        try:
            if wait_s:
                now = began = clock()
                if listener.on_wake is not None:
                    listener.on_wake(now)
                if now - due >= set_every:
                    began = due
                    listener.overslept(due, now)
                run_began, due = began, 0.0
            # Not while the loop is late: the baseline of a late turn must be from before it began. But at
            # once when the loop is on time again: the next turn may be the late one.
            if now >= set_again and now - began < set_every:
                set_again = now + set_every
                listener.alive(now)
        except BaseException as exc:
            if not caught(exc):
                raise
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


def timed_select(own: Select, listener: TurnListener, began: float, caught: Caught) -> Timing:
    """A wrapper around a `select` that is not epoll's own, or that other code has replaced."""
    clock = _bare_clock()
    due = 0.0
    set_again = began + listener.set_every_s

    def select(timeout: float | None = None) -> Ready:
        try:
            before(timeout)
        except BaseException as exc:
            if not caught(exc):
                raise
        # Outside of any handler: what the selector raises must not have the probe's error as its context.
        try:
            return own(timeout)
        finally:
            try:
                after()
            except BaseException as exc:
                if not caught(exc):
                    raise

    def before(timeout: float | None) -> None:
        nonlocal due
        now = clock()
        listener.long_turn(began, now)
        if listener.on_wait is not None:
            listener.on_wait(now)
        due = NEVER if timeout is None else now + max(0.0, timeout)

    def after() -> None:
        nonlocal began, due, set_again
        now = began = clock()
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
