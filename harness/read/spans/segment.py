"""Segments of a span's time or of a critical path, and what they were spent on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """What time is spent on."""

    RUN = "run"  # on the loop
    READY = "ready"  # ready to run, but the loop was held
    IO = "io"  # waiting for a file or socket
    TIMER = "timer"
    QUEUED = "queued"  # in the queue of an executor
    EXECUTOR = "executor"  # waiting for work in an executor's thread
    TASK = "task"  # waiting for another task


class Gap(StrEnum):
    """Time on a critical path before the first decomposed span."""

    BLOCKED = "blocked"  # in a queue, while the loop that was to take it was blocked
    AWAY = "away"  # in another process, on the way, or in a queue


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment; those of a span follow each other without a gap, oldest first."""

    at_s: float
    took_ms: float
    what: Part | Gap
    who: str  # the function or coroutine that ran, held the loop, worked or was waited for; "" if unknown
    where: str  # its file and line, shortened
    span: str  # the span it was in, "" for none
    cpu_ms: float | None = None  # of a long run: an upper bound of the CPU time in it
    at_most: bool = False  # an upper bound: it became ready at an unknown time within the segment


@dataclass(frozen=True, slots=True)
class Parts:
    """How an interval was spent, in milliseconds; the sum is its length."""

    run_ms: float
    ready_ms: float
    io_ms: float
    timer_ms: float
    queued_ms: float
    executor_ms: float
    task_ms: float

    @property
    def wait_ms(self) -> float:
        """The time spent waiting for anything but the loop."""
        return self.io_ms + self.timer_ms + self.queued_ms + self.executor_ms + self.task_ms
