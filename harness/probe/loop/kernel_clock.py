"""Tells from the kernel and the Python stack what a loop does that shows nothing else of itself.

The loop waits if its thread waits for events and no Python code but the loop's own is on the stack. Whether
two looks found the same turn is certain if the thread has used no CPU time in between. Otherwise, a callback
is scheduled in the loop that is busy; a turn that lasts does not run it. A loop that waits gets none.
"""

from __future__ import annotations

import selectors
from asyncio import AbstractEventLoop
from types import CodeType, FrameType
from typing import Any

from ...record.clock import monotonic_ns
from ..threads import usage
from .lookout import Sight, Totals

# The system calls in which a thread waits for events, and those that wait in an epoll, which is their first
# argument.
_EPOLL = ("epoll_wait", "epoll_pwait")
_WAITS = (*_EPOLL, "poll", "ppoll", "select", "pselect6", "epoll_pwait2", "io_uring_enter", "")
# A turn that is found running is looked at again this soon, before a callback is scheduled to tell it from
# other turns: a loop that has little to do then waits.
_AGAIN_NS = 5_000_000
# A look that comes later than this after the one before is late itself.
_LOOKS_NS = 30_000_000


class KernelClock:
    """The clock of one loop; a `TurnClock`."""

    mechanism = "looks"

    def __init__(self, loop: AbstractEventLoop, thread: usage.ThreadClock, caller: FrameType | None) -> None:
        """To be created on the loop's thread; the loop has told of itself from *caller*."""
        self._loop = loop
        self._thread = thread
        self._own = _methods(loop)
        # The function outside the loop that runs it.
        while caller is not None and caller.f_code in self._own:
            caller = caller.f_back
        self.runner = caller.f_code if caller is not None else None
        self._first_cpu_ns = self._cpu_ns = thread.cpu_ns()
        self._began_ns = self._at_ns = monotonic_ns()
        self._is_waiting = False
        self._epoll = -1
        self._signs = 0  # of life that were asked for ...
        self._alive = 0  # ... that have come ...
        self._alive_ns = 0  # ... and when

    def look(self, now_ns: int, frame: FrameType | None) -> Sight:
        cpu_ns, at_ns, began_ns = self._thread.cpu_ns(), self._at_ns, self._began_ns
        self._at_ns = now_ns
        used_ns, self._cpu_ns = cpu_ns - self._cpu_ns, cpu_ns
        is_still = not used_ns
        if is_still and (began_ns or self._is_waiting):
            return Sight(began_ns, is_same=True)
        self._is_waiting = self._waits(frame)
        if self._is_waiting:
            self._began_ns = 0
            ended_ns = self._alive_ns if self._alive_ns > began_ns else (at_ns + now_ns) // 2
            self._forget_sign()
            return Sight(is_same=is_still and not began_ns, ended_ns=ended_ns if began_ns else 0)
        if not began_ns:
            # On a busy machine the look itself may be late; then a turn that used no CPU time is no proof.
            self._began_ns = max((at_ns + now_ns) // 2, now_ns - max(used_ns, _LOOKS_NS))
            return Sight(self._began_ns)
        if self._alive:
            self._forget_sign()
            # How many turns the loop has begun since then is not known; this one, at most that long ago.
            self._began_ns = max(self._alive_ns, now_ns - _AGAIN_NS)
            return Sight(self._began_ns, ended_ns=self._alive_ns)
        if not self._signs and not self._asked():
            self._began_ns = now_ns
            return Sight(now_ns, ended_ns=at_ns)
        return Sight(began_ns, is_same=True)

    def peek(self) -> int:
        return self._began_ns

    def last_turn(self, now_ns: int) -> Sight:
        if not self._began_ns:
            # Of a turn that no look has found, nothing is known.
            return Sight(now_ns)
        if self._alive:
            return Sight(self._alive_ns, ended_ns=self._alive_ns)
        return Sight(self._began_ns, is_same=True)

    def due_ns(self) -> int:
        return 0  # the kernel tells how long the wait was to last, but not when it began

    def epoll(self) -> int:
        return self._epoll

    def look_again_ns(self) -> int:
        return 0 if self._signs else _AGAIN_NS

    def totals(self, now_ns: int) -> Totals:
        return Totals(None, self._thread.cpu_ns() - self._first_cpu_ns)

    def _asked(self) -> bool:
        """Ask for a sign of life; false if the loop gives none: then only a thread that waits is late."""
        try:
            self._loop.call_soon_threadsafe(self._sign_of_life)
        except Exception:  # a loop's own, such as `NotImplementedError`; or it has closed
            return False
        self._signs = 1
        return True

    def _forget_sign(self) -> None:
        # One that has not come is not asked for again: it will.
        if self._alive:
            self._signs = self._alive = 0

    def _sign_of_life(self) -> None:
        self._alive, self._alive_ns = 1, monotonic_ns()

    def _waits(self, frame: FrameType | None) -> bool:
        """Whether the thread waits for events, and note in which epoll."""
        while frame is not None and frame.f_code is not self.runner and frame.f_code in self._own:
            frame = frame.f_back
        if frame is not None and self.runner is not None and frame.f_code is not self.runner:
            return False
        name, arguments = self._thread.call()
        if name not in _WAITS:
            return False
        if name in _EPOLL and arguments:
            self._epoll = arguments[0]
        return True


def _methods(loop: AbstractEventLoop) -> set[CodeType]:
    """The code of the loop's own methods, and of the selectors it may wait in."""
    found: set[CodeType] = set()
    waiters: list[Any] = [
        getattr(selectors, name, None) for name in dir(selectors) if name.endswith("Selector")
    ]
    for cls in (*type(loop).__mro__, *waiters):
        for member in vars(cls).values() if isinstance(cls, type) else ():
            code = getattr(member, "__code__", None)
            if isinstance(code, CodeType):
                found.add(code)
    return found
