"""Finds loops that sleep although a callback is ready: whoever made it ready did not wake the loop.

That is what `call_soon`, `Future.set_result` or `Queue.put_nowait` do on a thread that is not the loop's own,
or in a signal's handler. The loop runs the callback when it wakes up for another reason. A call can be seen
only when it happens again, so the next ones are looked at.
"""

from __future__ import annotations

import asyncio
import os
import threading
from asyncio import Handle
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from ...record.clock import monotonic_ns
from ...record.observation import Coroutine, ForeignCall, Observation, WakeupMissed
from ..hooks.call_tap import CallTap
from ..hooks.state import loop_state, reference_state, task_state
from ..hooks.state.thread_state import name_of_this_thread
from ..loop.turns import Turns
from ..tasks import coroutine, identity
from ..threads import usage
from ..threads.stack import stack_of

# A callback that is ready for a shorter time may be one of `call_soon_threadsafe`, which is about to wake the
# loop on a busy machine.
STANDS_NS = 80_000_000
# How soon to look again at a loop that seems to sleep so, and how often.
SOON_S, SOON_LOOKS = 0.1, 50
# How long calls are looked at, how many of them, and how many different ones of a loop are recorded.
TAPPED_NS, CALLS, STACKS = 10_000_000_000, 5_000, 4
# How often it is noted again that the callback still stands: each time by a half longer.
AGAIN = 1.5

_SLEEPS = {"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"}
# The methods by which such a call wakes the tasks that wait for an object.
_WAKING: tuple[tuple[type, tuple[str, ...]], ...] = (
    (asyncio.Queue, ("_put", "_get")),
    (asyncio.Event, ("set",)),
    (asyncio.Lock, ("release",)),
    (asyncio.Semaphore, ("release",)),
    (asyncio.Condition, ("notify",)),
)


class _Watched:
    """One loop."""

    __slots__ = ("began_ns", "first", "label", "looked_ns", "next_ns", "of", "stacks", "taps", "until_ns")

    def __init__(self) -> None:
        self.first: Callable[[], Any] | None = None  # the first ready callback, while the loop sleeps
        self.began_ns = self.looked_ns = self.next_ns = self.until_ns = 0
        self.label = ""
        self.of: Coroutine | None = None
        self.taps: list[CallTap] = []
        self.stacks: set[int] = set()

    def untap(self) -> None:
        while self.taps:
            self.taps.pop().close()


class Wakeups:
    """The loops of this process, as of the latest look."""

    def __init__(
        self,
        write: Callable[[Observation], object],
        running: Callable[[], Sequence[tuple[int, Turns]]],
    ) -> None:
        self._write = write
        self._running = running
        self._watched: dict[int, _Watched] = {}
        self._soon = SOON_LOOKS

    def look(self, *, last: bool = False) -> float | None:
        """Look at every loop, and return how soon (s) to look again; `None` for whenever it is convenient.

        At the *last* look, what stands is noted once more.
        """
        soon = False
        for number, turns in self._running():
            watched = self._watched.setdefault(number, _Watched())
            if watched.taps and monotonic_ns() > watched.until_ns:
                watched.untap()
            first = self._first(turns)
            if first is None:
                self._end(number, watched)
            elif watched.first is None or watched.first() is not first:
                self._end(number, watched)
                watched.first, watched.began_ns = reference_state.to(first), monotonic_ns()
                watched.looked_ns = 0
                watched.next_ns = watched.began_ns + STANDS_NS
                soon = True
            else:
                self._stands(number, watched, turns, first, last=last)
        self._soon = self._soon - 1 if soon else self._soon
        return SOON_S if soon and self._soon > 0 else None

    def close(self) -> None:
        """Restore what is replaced."""
        for watched in self._watched.values():
            watched.untap()

    def _first(self, turns: Turns) -> Handle | None:
        """The first ready callback of a loop that sleeps; `None` if there is none, or it is about to run."""
        loop = turns.loop
        if loop is None or turns.thread_ident == threading.get_ident():
            return None
        ready = loop_state.ready(loop)
        if not ready or turns.state()[0] or usage.syscall(turns.native_thread_id) not in _SLEEPS:
            return None
        try:
            return ready[0]
        except IndexError:  # the loop's thread has just taken it
            return None

    def _stands(self, number: int, watched: _Watched, turns: Turns, first: Handle, *, last: bool) -> None:
        now_ns = watched.looked_ns = monotonic_ns()
        if now_ns < watched.next_ns and not (last and now_ns - watched.began_ns >= STANDS_NS):
            return
        task = identity.behind(first)
        watched.label = identity.kind_of(first)
        watched.of = coroutine.of_task(task) if task is not None else None
        watched.next_ns = watched.began_ns + int((now_ns - watched.began_ns) * AGAIN)
        self._note(number, watched, len(loop_state.ready(turns.loop)) if turns.loop is not None else 1)
        if not watched.taps and len(watched.stacks) < STACKS:
            self._tap(number, watched, turns, task)

    def _end(self, number: int, watched: _Watched) -> None:
        """Note once more how long the callback stood, as far as that was seen."""
        if watched.first is not None and watched.label:
            self._note(number, watched, 1)
        watched.first, watched.label, watched.of = None, "", None

    def _note(self, number: int, watched: _Watched, ready: int) -> None:
        at_ns, began_ns = watched.looked_ns, watched.began_ns
        label, of = watched.label, watched.of
        self._write(WakeupMissed(at_ns, os.getpid(), number, began_ns, ready, label, of))

    def _tap(self, number: int, watched: _Watched, turns: Turns, task: Any) -> None:
        own = turns.thread_ident

        def called(frame: FrameType) -> None:
            if threading.get_ident() == own or len(watched.stacks) >= STACKS:
                return
            stack = stack_of(frame)
            if hash(stack) not in watched.stacks:
                watched.stacks.add(hash(stack))
                thread = name_of_this_thread()
                self._write(ForeignCall(monotonic_ns(), os.getpid(), number, thread, stack))

        watched.until_ns = monotonic_ns() + TAPPED_NS
        watched.taps.append(CallTap(turns.loop, ("call_soon",), called, calls=CALLS))
        for link in coroutine.links(task_state.work_of(task)) if task is not None else ():
            for held in reference_state.held_by(link):
                for kind, names in _WAKING:
                    if issubclass(type(held), kind):
                        watched.taps.append(CallTap(held, names, called, calls=CALLS))
