"""The progress of a run, read from the record as it grows, for the terminal."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import monotonic_ns

from ..record.event import Completed, LoadStarted, LoopSampled, Sent
from ..record.reader import Follower
from ..record.run_folder import RunFolder
from .console.events import ConsoleEvents

# Rate and latency cover this last part of the run.
WINDOW_NS = 3_000_000_000


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a run at one moment."""

    at_s: float  # since the run started
    phase: str  # "starting", "loading", "draining", ...
    sent: int
    completed: int
    failed: int
    rate_per_s: float  # completed, over the last seconds
    p99_ms: float | None  # from the intended send time, over the last seconds; null without a completion
    lag_ms: float  # about the longest turn since the previous state
    blocks: int
    consoles: tuple[str, ...]  # opened since the previous state: how to reach each, or why it failed


class ProgressReader:
    """Reads what was written to the record since the previous call."""

    def __init__(self, folder: RunFolder, started_ns: int, *, for_console: bool) -> None:
        """With *for_console*, the target's own events are read too, to find its consoles."""
        self._started_ns = started_ns
        self._load = Follower(folder.events, "driver-*.jsonl")
        self._console_events = ConsoleEvents(folder) if for_console else None
        self._load_ns = started_ns
        self._intended: dict[int, int] = {}
        self._done: deque[tuple[int, float]] = deque()
        self._counts = {"sent": 0, "completed": 0, "failed": 0}
        self._loops: dict[tuple[int, int], LoopSampled] = {}
        self._lag_ns = 0

    def add_sample(self, reading: LoopSampled) -> None:
        """Add one reading of a loop's counters."""
        self._loops[reading.pid, reading.loop] = reading
        self._lag_ns = max(self._lag_ns, reading.recent_ns)

    def read(self, phase: str) -> Progress:
        """The progress up to now."""
        now_ns = monotonic_ns()
        for _, event in self._load.new_events():
            if isinstance(event, Sent):
                self._intended[event.n] = event.intended_ns
                self._counts["sent"] += 1
            elif isinstance(event, Completed):
                self._complete(event)
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
            consoles=tuple(self._console_events.poll()) if self._console_events else (),
            **self._counts,
        )

    def _complete(self, event: Completed) -> None:
        self._counts["completed"] += 1
        self._counts["failed"] += not event.ok
        intended_ns = self._intended.pop(event.n, None)
        if intended_ns is not None:
            self._done.append((event.done_ns, (event.done_ns - intended_ns) / 1e6))
