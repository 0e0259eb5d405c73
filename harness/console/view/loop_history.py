"""How the loops did in each of the last seconds: read once per second, while a console is open."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...probe.loop.epoll_timing import SHORT_BUCKET
from ...record import page
from ...record.clock import monotonic_ns

if TYPE_CHECKING:
    from .loop_view import LoopView
    from .process import ProcessView

SECONDS = 60
_BARS = "▁▂▃▄▅▆▇█"
# The lowest bar is for turns up to this long, each further one for four times as much: the highest for 4 s.
_LOWEST_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Second:
    """What one loop did in about a second."""

    length_ns: int
    turns: int
    busy_ns: int
    longest_ns: int  # about the longest turn; of one that goes on, what is over of it


@dataclass(slots=True)
class _Before:
    """The counters at the reading before."""

    at_ns: int
    turns: int
    busy_ns: int
    counts: list[int]


@dataclass(slots=True)
class LoopHistory:
    """The readings of one console."""

    seconds: dict[int, deque[Second]] = field(default_factory=dict)  # by the loop's number
    _before: dict[int, _Before] = field(default_factory=dict)

    def read(self, views: list[LoopView]) -> None:
        """Take one reading of each loop."""
        now_ns = monotonic_ns()
        for view in views:
            words = view.words
            counts = words[page.COUNTS : page.COUNTS + page.BUCKETS].tolist()
            now = _Before(now_ns, words[page.TURNS], words[page.BUSY_NS], counts)
            before = self._before.get(view.number)
            self._before[view.number] = now
            if before is not None:
                longest_ns = max(_longest_ns(before.counts, counts), late_ns(view, now_ns))
                second = Second(
                    now_ns - before.at_ns, now.turns - before.turns, now.busy_ns - before.busy_ns, longest_ns
                )
                self.seconds.setdefault(view.number, deque(maxlen=SECONDS)).append(second)

    def of(self, number: int) -> list[Second]:
        """The latest seconds of the loop of that number, oldest first."""
        return list(self.seconds.get(number, ()))


_pulses: dict[int, LoopHistory] = {}


def begin(process: ProcessView) -> None:
    """Take readings from now on, until the console closes."""
    pulse = _pulses[id(process)] = LoopHistory()

    def keep() -> None:
        pulse.read(list(process.loops()))
        while not process.wait_closed(within_s=1.0):
            pulse.read(list(process.loops()))
        _pulses.pop(id(process), None)

    process.start_thread(keep)


def of(process: ProcessView) -> LoopHistory:
    """The readings for this console; none before it has begun."""
    return _pulses.get(id(process)) or LoopHistory()


def late_ns(view: LoopView, now_ns: int) -> int:
    """For how long the loop has been in its turn, or should have been awake; 0 for one that waits."""
    turn_ns, due_ns = view.words[page.TURN], view.words[page.DUE]
    if turn_ns:
        return max(0, int(now_ns - turn_ns))
    # When a loop without turns (uvloop) is due, is known to half a beat.
    late = now_ns - due_ns if due_ns else 0
    return int(late) if late >= view.words[page.LIMIT_NS] // 2 else 0


def line(seconds: list[Second]) -> str:
    """The longest turns, one bar for each second, the newest at the right end."""
    return "".join(_BARS[_height(second.longest_ns)] for second in seconds)


def _height(ns: int) -> int:
    return min(len(_BARS) - 1, (max(0, (ns - 1) // _LOWEST_NS).bit_length() + 1) // 2)


def _longest_ns(before: list[int], counts: list[int]) -> int:
    """Of the turns counted since, about the longest: the middle of its bucket."""
    longest = max(
        (b for b, (old, new) in enumerate(zip(before, counts, strict=True)) if new > old), default=0
    )
    return 3 << longest - 2 if longest > SHORT_BUCKET else 0
