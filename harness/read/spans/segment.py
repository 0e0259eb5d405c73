"""A stretch of a span's time, or of a trace's critical path, and what it went into."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """What a span's time can go into."""

    RUN = "run"  # on the loop
    READY = "ready"  # ready to run, but the loop was held
    IO = "io"  # waiting for a file or socket
    TIMER = "timer"
    QUEUED = "queued"  # in the queue of an executor
    EXECUTOR = "executor"  # while a thread of an executor works for it
    TASK = "task"  # waiting for another task


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch; those of a span follow each other without a gap, oldest first."""

    at_s: float
    took_ms: float
    what: Part
    who: str  # who ran, held the loop, worked or was waited for; "" when that is not known
    where: str  # file and line of that, for people
    span: str  # in which span that was, "" for none
    cpu_ms: float | None = None  # of a long run: the CPU time in it at most; far less is no running
    at_most: bool = False  # ready since some time of this stretch: a file tells no better


@dataclass(frozen=True, slots=True)
class Parts:
    """How much of a time went into what, in milliseconds; together it is the whole."""

    run_ms: float
    ready_ms: float
    io_ms: float
    timer_ms: float
    queued_ms: float
    executor_ms: float
    task_ms: float

    @property
    def wait_ms(self) -> float:
        """What it waited for anything but the loop."""
        return self.io_ms + self.timer_ms + self.queued_ms + self.executor_ms + self.task_ms
