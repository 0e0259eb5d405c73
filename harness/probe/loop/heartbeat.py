"""Times a loop that has no selector in Python (uvloop), by a callback at a steady interval.

A callback that runs late means that the loop was held. The block began somewhere between two beats: the
middle is assumed, so its length is accurate to half a beat. Unlike the timing of turns, this wakes an idle
loop at every beat.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from typing import Protocol

from ...record import page
from ...record.clock import monotonic_ns
from .deadman import DeadMan

# uvloop's clock counts whole milliseconds, so shorter intervals would not be more precise.
SHORTEST_NS = 5_000_000


class BeatListener(Protocol):
    """Receives what the beats measure."""

    words: memoryview
    look_after_ns: int
    set_every_s: float

    def count(self, began_ns: int, ended_ns: int) -> None: ...

    def mark(self, now_ns: int) -> None: ...


class Heartbeat:
    """The beats of one loop, from now until `end`; to be created on the loop's thread."""

    def __init__(self, loop: AbstractEventLoop, timer: DeadMan, counter: BeatListener) -> None:
        self._loop = loop
        self._timer = timer
        self._counter = counter
        self._every_ns = max(SHORTEST_NS, int(counter.set_every_s * 1e9))
        self._due_ns = 0
        self._silent = False
        self._next: TimerHandle | None = None
        self._schedule(monotonic_ns())

    def end(self) -> None:
        """Stop, and count the time for which the loop was held since the last beat, if any."""
        if self._next is not None:
            self._next.cancel()
        now_ns = monotonic_ns()
        if now_ns > self._due_ns:
            self._count(now_ns)

    def silence(self) -> None:
        """Stop without counting. Callable from other threads, which cannot cancel the callback."""
        self._silent = True

    def _schedule(self, now_ns: int) -> None:
        self._counter.mark(now_ns)
        self._due_ns = now_ns + self._every_ns
        # If this beat is late, the loop has been held since about the middle of the interval.
        self._counter.words[page.DUE] = self._due_ns - self._every_ns // 2
        self._timer.set(self._every_ns + self._counter.look_after_ns)
        self._next = self._loop.call_later(self._every_ns / 1e9, self._beat)

    def _beat(self) -> None:
        if not self._silent:
            now_ns = monotonic_ns()
            self._count(now_ns)
            self._schedule(now_ns)

    def _count(self, now_ns: int) -> None:
        was_held = now_ns - self._due_ns > self._every_ns // 2
        held_since_ns = self._counter.words[page.DUE] if was_held else min(self._due_ns, now_ns)
        self._counter.count(held_since_ns, now_ns)
