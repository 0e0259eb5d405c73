"""What the driver had of the processors: its CPU time, and its waiting for one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Processor:
    """One reading, or the difference of two, in ns."""

    at_ns: int
    cpu_ns: int  # of the process
    queued_ns: int  # that the main thread was ready to run and had no processor

    @classmethod
    def now(cls) -> Self:
        """The time since the process began."""
        return cls(time.monotonic_ns(), time.process_time_ns(), _queued_ns())

    def since(self, before: Processor) -> Processor:
        """What was used between *before* and this reading."""
        return Processor(
            self.at_ns - before.at_ns, self.cpu_ns - before.cpu_ns, self.queued_ns - before.queued_ns
        )


def _queued_ns() -> int:
    try:
        # Of the main thread, which runs the loop: time on a processor, waiting for one, slices.
        return int(Path("/proc/self/schedstat").read_text().split()[1])
    except (OSError, LookupError, ValueError):  # a kernel without it
        return 0
