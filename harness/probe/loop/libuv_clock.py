"""Tells from libuv's metrics what a loop of uvloop does: its turns are counted, and its waiting measured."""

from __future__ import annotations

from types import CodeType, FrameType

from ...record.clock import monotonic_ns
from ..hooks.state.libuv import LibuvLoop, LibuvReading
from .lookout import Sight, Totals


class LibuvClock:
    """The clock of one loop; a `TurnClock`."""

    mechanism = "libuv"

    def __init__(self, libuv: LibuvLoop, now_ns: int, caller: FrameType | None) -> None:
        """To be created on the loop's thread, in a turn that began at *now_ns*, called from *caller*."""
        self._libuv = libuv
        self.runner: CodeType | None = caller.f_code if caller is not None else None
        self._first = self._before = libuv.read()
        self._first_ns = self._at_ns = self._began_ns = now_ns

    def look(self, now_ns: int, frame: FrameType | None) -> Sight:
        before, at_ns = self._before, self._at_ns
        now = self._before = self._libuv.read()
        # The moment of the reading itself: another thread may have had the GIL since *now_ns*.
        now_ns = self._at_ns = monotonic_ns()
        waited_ns, turns = now.idle_ns - before.idle_ns, now.turns - before.turns
        if not turns and before.is_waiting == now.is_waiting:
            return Sight(self._began_ns, is_same=True)
        if now.is_waiting:
            self._began_ns = 0
            if frame is not None:
                self.runner = frame.f_code
        elif not turns and before.is_waiting:
            self._began_ns = at_ns + waited_ns
        else:
            self._began_ns = _between(at_ns, now.now_ns, now_ns)
        # Up to here, all but the waiting was turns.
        over_ns = (self._began_ns or now_ns) - waited_ns
        if not before.is_waiting:
            # With further turns in between, the end of the first one is only known to lie between them.
            ended_ns = over_ns if turns <= 1 else (at_ns + max(at_ns, over_ns)) // 2
            return Sight(self._began_ns, ended_ns=_between(at_ns, ended_ns, now_ns))
        if not turns:
            return Sight(self._began_ns, woke_ns=self._began_ns)
        if turns > 1 or not now.is_waiting:
            return Sight(self._began_ns)
        woke_ns = _between(at_ns, now.now_ns, now_ns)
        return Sight(0, woke_ns=woke_ns, slept_ns=_between(woke_ns, woke_ns + over_ns - at_ns, now_ns))

    def peek(self) -> int:
        now = self._libuv.read()
        if now.is_waiting:
            return 0
        is_known = now.turns == self._before.turns and self._began_ns
        return self._began_ns if is_known else max(self._at_ns, now.now_ns)

    def last_turn(self, now_ns: int) -> Sight:
        return self.look(now_ns, None)

    def due_ns(self) -> int:
        return self._libuv.due_ns()

    def epoll(self) -> int:
        return self._libuv.descriptor

    def look_again_ns(self) -> int:
        return 0

    def totals(self, now_ns: int) -> Totals:
        now: LibuvReading = self._libuv.read()
        waited_ns = now.idle_ns - self._first.idle_ns
        # The running turn is one more than the waits.
        turns = now.turns - self._first.turns + (not now.is_waiting)
        return Totals(turns, max(0, now_ns - self._first_ns - waited_ns))


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))
