"""Tells from what is always counted whether a loop may be spinning: many short turns, and hardly any wait.

A loop with work enough is as busy, so this accuses nothing; it says when to look closer.
"""

from __future__ import annotations

from ...record import page
from ...record.value import Row

# A window is judged by itself: a loop that spins for longer has several.
WINDOW_NS = 400_000_000
# A spinning loop waits for nothing but the processor and the GIL. The rest is for the polls between turns,
# and for requests that do wait.
BUSY = 0.7
# A turn that takes longer than this on average does something, whatever it does.
LONGEST_TURN_NS = 5_000_000


class Counts(Row):
    """What a loop's counters say at one moment."""

    at_ns: int
    turns: int
    busy_ns: int
    cpu_ns: int  # of the loop's thread ...
    queued_ns: int  # ... and how long it has waited for a processor; 0 if that is unknown

    @classmethod
    def of(cls, words: memoryview, at_ns: int, cpu_ns: int, queued_ns: int) -> Counts:
        """The counters of the page *words*, which has been written just now."""
        return cls(at_ns, words[page.TURNS], words[page.BUSY_NS], cpu_ns, queued_ns)

    def since(self, before: Counts) -> Counts:
        """The difference between two moments."""
        return Counts(*(now - then for now, then in zip(self, before, strict=True)))


def is_suspicious(window: Counts) -> bool:
    """Whether the loop may have been spinning for the time of *window*, a difference of counts."""
    # A loop that polls at each turn may lose its processor while it does.
    busy_ns = max(window.busy_ns, window.cpu_ns + window.queued_ns)
    return busy_ns >= BUSY * window.at_ns and 0 < window.cpu_ns < LONGEST_TURN_NS * window.turns
