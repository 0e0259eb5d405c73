"""How a run stands, from the record as it grows: what the terminal shows while one waits."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import monotonic_ns

from ..record.event import Completed, LoadStarted, LoopSampled, Sent
from ..record.reader import Follower
from ..record.run import RunFolder
from .console.events import ConsoleEvents

# Rate and latency are of this last stretch of time.
WINDOW_NS = 3_000_000_000


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at a running run."""

    at_s: float  # since the run started
    phase: str  # "starting", "loading", "draining", ...
    sent: int
    completed: int
    failed: int
    rate_per_s: float  # completed, over the last seconds
    p99_ms: float | None  # from the intended send time, over the last seconds; null without a completion
    lag_ms: float  # about the longest turn since the look before
    blocks: int
    consoles: tuple[str, ...]  # those that opened since the look before: how to reach them, or why not


class Watcher:
    """Gathers what was written since it last looked."""

    def __init__(self, folder: RunFolder, started_ns: int, *, for_console: bool) -> None:
        """*for_console* reads the target's own events too, to find its consoles."""
        self._started_ns = started_ns
        self._load = Follower(folder.events, "driver-*.jsonl")
        self._news = ConsoleEvents(folder) if for_console else None
        self._load_ns = started_ns
        self._intended: dict[int, int] = {}
        self._done: deque[tuple[int, float]] = deque()
        self._counts = {"sent": 0, "completed": 0, "failed": 0}
        self._loops: dict[tuple[int, int], LoopSampled] = {}
        self._lag_ns = 0

    def sampled(self, reading: LoopSampled) -> None:
        """Take in one reading of a loop's counters."""
        self._loops[reading.pid, reading.loop] = reading
        self._lag_ns = max(self._lag_ns, reading.recent_ns)

    def look(self, phase: str) -> Progress:
        """How it stands now."""
        now_ns = monotonic_ns()
        for _, event in self._load.new_events():
            if isinstance(event, Sent):
                self._intended[event.n] = event.intended_ns
                self._counts["sent"] += 1
            elif isinstance(event, Completed):
                self._take(event)
            elif isinstance(event, LoadStarted):
                self._load_ns = event.at_ns
        while self._done and self._done[0][0] < now_ns - WINDOW_NS:
            self._done.popleft()
        latencies = sorted(latency for _, latency in self._done)
        lag_ns, self._lag_ns = self._lag_ns, 0
        return Progress(
            at_s=(now_ns - self._started_ns) / 1e9,
            phase=phase,
            rate_per_s=len(self._done) * 1e9 / min(WINDOW_NS, max(1, now_ns - self._load_ns)),
            p99_ms=latencies[int(len(latencies) * 0.99)] if latencies else None,
            lag_ms=lag_ns / 1e6,
            blocks=sum(reading.blocks for reading in self._loops.values()),
            consoles=tuple(self._news.look()) if self._news else (),
            **self._counts,
        )

    def _take(self, event: Completed) -> None:
        self._counts["completed"] += 1
        self._counts["failed"] += not event.ok
        intended_ns = self._intended.pop(event.n, None)
        if intended_ns is not None:
            self._done.append((event.done_ns, (event.done_ns - intended_ns) / 1e6))
