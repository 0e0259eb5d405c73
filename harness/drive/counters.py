"""Reads the loops' counters from outside, so that sampling them costs the target nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic_ns

from ..record import page
from ..record.event import LoopSampled
from ..record.page import Page
from ..record.run_folder import RunFolder
from .process.cgroup import stolen_ns, throttled_ns
from .process.loop_thread import LoopThread

# Four points per second give a readable chart for a run of any length.
EVERY_S = 0.25


class Counters:
    """The counters of every loop of a run, read repeatedly."""

    def __init__(self, folder: RunFolder, *, outside: Mapping[int, int] | None = None) -> None:
        """*outside* has the pids of processes that have another one inside their own pid namespace."""
        self._folder = folder
        self._outside = outside or {}
        self._before: dict[Path, Page] = {}
        self._threads: dict[Path, LoopThread] = {}

    def sample(self) -> Iterator[LoopSampled]:
        """Read the counters of each loop once, as long as its process lives."""
        now_ns, taken_ns = monotonic_ns(), stolen_ns()
        for path in sorted(self._folder.loops.glob("*.page")):
            reading = page.read(path)
            if reading is None:
                continue
            if (thread := self._threads.get(path)) is None:
                thread = self._threads[path] = LoopThread(self._outside.get(reading.pid, reading.pid))
            if not thread.is_alive():
                continue
            before = self._before.get(path)
            self._before[path] = reading
            yield LoopSampled(
                at_ns=now_ns,
                pid=reading.pid,
                loop=int(path.stem.rpartition("-")[2]),
                turns=reading.turns,
                busy_ns=reading.busy_ns,
                longest_ns=reading.longest_ns,
                blocks=reading.blocks,
                recent_ns=_recent_longest_ns(before, reading, now_ns),
                throttled_ns=throttled_ns(self._outside.get(reading.pid, reading.pid)),
                stolen_ns=taken_ns,
                stopped=thread.is_stopped(),
                frozen=thread.is_frozen(),
                thread_cpu_ns=thread.cpu_ns(reading.native_thread_id) or 0,
                process_cpu_ns=thread.process_cpu_ns(),
            )


def _recent_longest_ns(before: Page | None, now: Page, now_ns: int) -> int:
    """Approximate the longest turn since *before* by the mean of the longest bucket that grew.

    A turn that is still running counts with its duration so far, but only above half the limit: a healthy
    loop's last sign of life may be that old.
    """
    silent_ns = now_ns - now.turn_ns if now.turn_ns and not now.stopped_ns else 0
    longest_ns = silent_ns if silent_ns > page.overdue_after_ns(now.limit_ns) else 0
    if now.untimed:
        # Only turns over the limit are known one by one.
        known = before.late[-1].at_ns if before and before.late else 0
        return max([longest_ns, *(turn.held_ns for turn in now.late if turn.at_ns > known)])
    for bucket in range(page.BUCKETS - 1, -1, -1):
        turns = now.counts[bucket] - (before.counts[bucket] if before else 0)
        if turns > 0:
            total_ns = now.sums_ns[bucket] - (before.sums_ns[bucket] if before else 0)
            return max(longest_ns, total_ns // turns)
    return longest_ns
