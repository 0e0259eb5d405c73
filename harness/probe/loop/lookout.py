"""Times a loop that has no selector in Python (uvloop, rloop, Qt's), by looking at it from another thread.

Nothing of the loop is replaced, and nothing is ever scheduled in it while it waits: a beat would wake it up,
and so repair a wake-up that the program has lost. The watchdog's thread looks instead, when a late turn would
have to be sampled, and a `TurnClock` tells what the loop does. Turns that are over the limit are seen one by
one; of the others there is at most a total.
"""

from __future__ import annotations

import threading
from types import CodeType, FrameType
from typing import Protocol

from ...record.clock import monotonic_ns
from ...record.value import Row


class Sight(Row):
    """What one look found, compared with the look before it. Times are in nanoseconds, 0 for none."""

    began_ns: int = 0  # of the running turn; 0 while the loop waits
    is_same: bool = False  # the turn, or the wait, of the look before is not over
    ended_ns: int = 0  # when the turn of the look before ended
    woke_ns: int = 0  # when the wait of the look before ended, if that is known
    slept_ns: int = 0  # when the turn after that wait ended, if it has


class Totals(Row):
    """The turns since the loop began to run, and their time."""

    turns: int | None  # `None` if they cannot be counted
    busy_ns: int  # at least, if they cannot be counted


class TurnClock(Protocol):
    """Tells what one loop does; each method keeps the GIL unless it says otherwise."""

    mechanism: str
    runner: CodeType | None  # the function that runs the loop: while it waits, the innermost one outside it

    def look(self, now_ns: int, frame: FrameType | None) -> Sight:
        """What the loop does now, where its thread is in *frame*; may release the GIL."""

    def peek(self) -> int:
        """When the running turn began (ns), 0 while the loop waits, without changing the next `look`."""

    def last_turn(self, now_ns: int) -> Sight:
        """The turn that is running on this thread, which is the loop's."""

    def due_ns(self) -> int:
        """When the loop, which the latest look found waiting, wakes up by itself; 0 for never or unknown."""

    def epoll(self) -> int:
        """The descriptor of the epoll in which the loop waits; -1 for none or unknown."""

    def look_again_ns(self) -> int:
        """How soon to look again at a running turn; 0 for no sooner than it would be late."""

    def totals(self, now_ns: int) -> Totals:
        """The totals so far."""


class LookListener(Protocol):
    """Receives what the looks find."""

    limit_ns: int
    set_every_s: float

    def late_turn(self, began_ns: int, ended_ns: int) -> None:
        """Called after a turn over the limit."""

    def woke_late(self, due_ns: int, woke_ns: int) -> None:
        """Called after the loop woke up later than it should have; the turn counts from *due_ns*."""


class Lookout:
    """What the looks at one loop have found so far, from its beginning until `end`."""

    def __init__(self, clock: TurnClock, listener: LookListener) -> None:
        """To be created on the loop's thread, in the turn in which the loop begins to run."""
        self.clock = clock
        self._listener = listener
        self._began_ns = monotonic_ns()
        self._due_ns = 0
        self._over = False
        # A look and the loop's own end may come together; neither waits for anything else under this lock.
        self._lock = threading.Lock()

    def look(self, now_ns: int, frame: FrameType | None) -> tuple[int, int]:
        """Look, report what has ended since the look before, and return when the running turn began.

        Returns:
            When the turn began, and when a loop that should have woken up was due: at least one is 0.
        """
        with self._lock:
            if self._over:
                return 0, 0
            sight = self.clock.look(now_ns, frame)
            began_ns, due_ns = self._began_ns, self._due_ns
            if began_ns and not sight.is_same:
                self._ended(began_ns, sight.ended_ns)
                began_ns = 0
            if due_ns and sight.woke_ns and self._is_late(due_ns, sight.woke_ns):
                self._listener.woke_late(due_ns, sight.woke_ns)
                began_ns = due_ns
                if not sight.began_ns or sight.slept_ns:
                    self._ended(due_ns, sight.slept_ns or sight.woke_ns)
                    began_ns = 0
            self._began_ns = began_ns or sight.began_ns
            if sight.began_ns:
                self._due_ns = 0
            elif not sight.is_same:
                self._due_ns = self.clock.due_ns()
            is_overdue = self._due_ns and self._is_late(self._due_ns, now_ns)
            return self._began_ns, self._due_ns if is_overdue and not self._began_ns else 0

    def end(self) -> None:
        """Report the turn in which the loop stops; on its thread."""
        now_ns = monotonic_ns()
        with self._lock:
            if self._over:
                return
            self._over = True
            last, began_ns = self.clock.last_turn(now_ns), self._began_ns
            if began_ns and not last.is_same:
                self._ended(began_ns, last.ended_ns)
                began_ns = 0
            # The look before may have found that the turn should have begun earlier.
            self._ended(began_ns or last.began_ns, now_ns)

    def silence(self) -> None:
        """Look no more, and report nothing; from any thread."""
        self._over = True

    def _is_late(self, due_ns: int, now_ns: int) -> bool:
        return now_ns - due_ns >= self._listener.set_every_s * 1e9

    def _ended(self, began_ns: int, ended_ns: int) -> None:
        if ended_ns - began_ns >= self._listener.limit_ns:
            self._listener.late_turn(began_ns, ended_ns)
