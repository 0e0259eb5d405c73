"""The busy time and lateness of each loop in each of the last seconds, read while a console is open."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...probe.loop.epoll_timing import SHORT_BUCKET
from ...record import page
from ...record.clock import monotonic_ns

if TYPE_CHECKING:
    from .loop_view import LoopView
    from .process import ProcessView

SECONDS = 60
_BARS = "▁▂▃▄▅▆▇█"
# The lowest bar is for turns up to this length, each further one for four times as long: the highest for 4 s.
_LOWEST_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Second:
    """The activity of one loop in about a second."""

    length_ns: int
    turns: int
    busy_ns: int
    # Of the longest turn, approximately; of an unfinished turn, the time so far. `None` for unknown: of turns
    # that are not timed one by one, only late ones are known.
    longest_ns: int | None


@dataclass(slots=True)
class _Reading:
    at_ns: int
    turns: int
    busy_ns: int
    counts: list[int]
    late: int  # turns over the limit


class LoopHistory:
    """The last seconds of each loop."""

    def __init__(self) -> None:
        self._seconds: dict[int, deque[Second]] = {}  # by the loop's number
        self._latest: dict[int, _Reading] = {}

    def of(self, number: int) -> list[Second]:
        """The last seconds of the loop with that number, oldest first."""
        return list(self._seconds.get(number, ()))

    def start(self, process: ProcessView) -> None:
        """Read the loops once per second until the console closes."""

        def keep() -> None:
            self._read(process.loops())
            while not process.wait_closed(within_s=1.0):
                self._read(process.loops())

        process.start_thread(keep)

    def _read(self, views: Sequence[LoopView]) -> None:
        now_ns = monotonic_ns()
        for view in views:
            words = view.words
            counts = words[page.COUNTS : page.COUNTS + page.BUCKETS].tolist()
            now = _Reading(now_ns, words[page.TURNS], words[page.BUSY_NS], counts, words[page.LATE])
            before = self._latest.get(view.number)
            self._latest[view.number] = now
            if before is not None:
                longest_ns: int | None = max(_longest_ns(before.counts, counts), view.late_ns(now_ns))
                if words[page.UNTIMED]:
                    late_ns = _latest_late_ns(words, before.late)
                    longest_ns = max(late_ns, view.late_ns(now_ns)) or None
                second = Second(
                    now_ns - before.at_ns, now.turns - before.turns, now.busy_ns - before.busy_ns, longest_ns
                )
                self._seconds.setdefault(view.number, deque(maxlen=SECONDS)).append(second)


def sparkline(seconds: list[Second]) -> str:
    """The longest turns, one bar per second, the newest on the right."""
    return "".join("?" if s.longest_ns is None else _BARS[_height(s.longest_ns)] for s in seconds)


def _latest_late_ns(words: memoryview, known: int) -> int:
    """The longest turn over the limit after the first *known* ones; 0 for none."""
    numbers = range(max(known, words[page.LATE] - page.LATE_KEPT), words[page.LATE])
    lengths = (words[page.LATE_TURNS + 3 * (number % page.LATE_KEPT) + 1] for number in numbers)
    return max(lengths, default=0)


def _height(ns: int) -> int:
    return min(len(_BARS) - 1, (max(0, (ns - 1) // _LOWEST_NS).bit_length() + 1) // 2)


def _longest_ns(before: list[int], counts: list[int]) -> int:
    """Approximately the longest turn counted since *before*: the middle of its bucket."""
    longest = max(
        (b for b, (old, new) in enumerate(zip(before, counts, strict=True)) if new > old), default=0
    )
    return 3 << longest - 2 if longest > SHORT_BUCKET else 0
