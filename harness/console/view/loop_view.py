"""One loop as commands see it: its counters, and the frame that blocks it."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from ...record import page

if TYPE_CHECKING:
    from ...probe.loop.turns import Turns


@dataclass(frozen=True, slots=True)
class LoopView:
    """A running loop, with a copy of its counters."""

    number: int
    loop: AbstractEventLoop
    thread_ident: int
    words: memoryview  # its page of counters (`record/page.py`), brought up to date
    turns: Turns = field(repr=False)  # for a profiler; commands read *words*

    @classmethod
    def of(cls, number: int, turns: Turns) -> Self | None:
        """The view of a loop; `None` if the loop is gone."""
        if (loop := turns.loop) is None:
            return None
        turns.write_page()
        # A copy: the page itself also holds what the watchdog and the loop write at any moment.
        words = memoryview(bytearray(turns.words)).cast("q")
        words[page.TURN], words[page.DUE] = turns.state()
        return cls(number, loop, turns.thread_ident, words, turns)

    def late_ns(self, now_ns: int) -> int:
        """How long the loop's turn has lasted, or how long the loop has been due; 0 while it waits."""
        turn_ns, due_ns = self.words[page.TURN], self.words[page.DUE]
        if turn_ns:
            return max(0, int(now_ns - turn_ns))
        late = now_ns - due_ns if due_ns else 0
        return int(late) if late >= self.words[page.LIMIT_NS] // 2 else 0


@dataclass(frozen=True, slots=True)
class BlockingFrame:
    """The line at which the thread of a late loop is."""

    since_ns: int
    file: str  # of the frame to blame: the innermost of the program's own code, else the innermost
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"
