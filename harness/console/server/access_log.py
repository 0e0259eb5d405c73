"""The console's access log: which clients connected, what they changed, command counts, and CPU time.

Each action is a separate event, up to a limit; commands that only read are counted.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from time import process_time_ns

from ...record.clock import monotonic_ns
from ...record.observation import ConsoleAudited, ConsoleCounted, Observation
from ..sanitize import printable

# A client in a loop must not fill the record; beyond this number, actions are only counted.
LISTED = 1_000
LINE = 200  # characters kept of a line
# A killed process loses at most the counts of this time.
FLUSH_EVERY_NS = 1_000_000_000


class AccessLog:
    """The access log of one process's console; safe from any thread."""

    def __init__(self, write: Callable[[Observation], object], cpu_ns: Callable[[], int]) -> None:
        self._write = write
        self._cpu_ns = cpu_ns
        self._lock = threading.Lock()
        self._connections = self._refused = self._listed = self._unlisted = 0
        self._commands: Counter[str] = Counter()
        self._flushed_ns = 0

    def connected(self, client: str) -> None:
        """Called when a client is admitted."""
        with self._lock:
            self._connections += 1
        self.acted(client, "", "connected")

    def refused(self, client: str, why: str) -> None:
        """Called when a client is not admitted."""
        with self._lock:
            self._refused += 1
        self.acted(client, "", f"refused: {why}")

    def acted(self, client: str, line: str, outcome: str) -> None:
        """Called when a client's line has changed something, or was not permitted to."""
        with self._lock:
            if self._listed >= LISTED:
                self._unlisted += 1
                return
            self._listed += 1
        line = printable(line if len(line) <= LINE else line[:LINE] + "…")
        self._write(ConsoleAudited(monotonic_ns(), os.getpid(), client, line, printable(outcome)))

    def count(self, command: str) -> None:
        """Called when a command has been carried out."""
        with self._lock:
            self._commands[command] += 1
        if monotonic_ns() - self._flushed_ns > FLUSH_EVERY_NS:
            self.flush()

    def flush(self) -> None:
        """Write the counts into the record."""
        self._flushed_ns = monotonic_ns()
        with self._lock:
            counted = ConsoleCounted(
                at_ns=self._flushed_ns,
                pid=os.getpid(),
                connections=self._connections,
                refused=self._refused,
                commands=dict(self._commands),
                unlisted=self._unlisted,
                cpu_ns=self._cpu_ns(),
                process_cpu_ns=process_time_ns(),
            )
        self._write(counted)
