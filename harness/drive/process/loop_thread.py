"""The process of a loop, and the loop's thread, as the kernel shows them to the same user (Linux)."""

from __future__ import annotations

import os
import time
from pathlib import Path

from . import proc
from .cgroup import is_frozen


class LoopThread:
    """Process *pid*, remembered by the time of its start, because a pid is used again."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        seen = proc.stat(pid)
        self._began_ticks = seen.began_ticks if seen is not None else -1

    def is_alive(self) -> bool:
        """Whether the process has not ended; one that ended and was not reaped has."""
        seen = proc.stat(self._pid)
        return seen is not None and seen.began_ticks == self._began_ticks and seen.state not in "ZX"

    def is_stopped(self) -> bool:
        """Whether the process is stopped, by SIGSTOP or a debugger."""
        seen = proc.stat(self._pid)
        return seen is not None and seen.began_ticks == self._began_ticks and seen.state in "Tt"

    def is_frozen(self) -> bool:
        """Whether the process is frozen by its cgroup."""
        return is_frozen(self._pid) and self.is_alive()

    def handles(self, number: int) -> bool:
        """Whether the process has a handler for that signal."""
        try:
            status = Path(f"/proc/{self._pid}/status").read_text(errors="replace")
        except OSError:
            return False
        caught = next((line for line in status.splitlines() if line.startswith("SigCgt:")), "SigCgt: 0")
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)

    def cpu_ns(self, native_id: int) -> int | None:
        """The CPU time of the thread so far; `None` where the kernel does not show it."""
        try:
            return int(self._read(native_id, "schedstat").split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def process_cpu_ns(self) -> int:
        """The CPU time of all its threads so far; 0 where the kernel does not tell."""
        try:
            # The clock of a process, as `clock_getcpuclockid` makes it from a pid.
            return time.clock_gettime_ns(~self._pid << 3 | 2)
        except OSError:
            return 0

    def is_runnable(self, native_id: int) -> bool:
        """Whether the thread runs, or could run if it had a processor."""
        try:
            return self._read(native_id, "stat").rpartition(b")")[2].split()[0] == b"R"
        except (OSError, IndexError):
            return False

    def waits_in(self, native_id: int) -> str:
        """The kernel's function in which the thread waits; "" when it runs, or for unknown."""
        try:
            return self._read(native_id, "wchan").decode(errors="replace").strip("0\n ")
        except OSError:
            return ""

    def _read(self, native_id: int, name: str) -> bytes:
        fd = os.open(f"/proc/{self._pid}/task/{native_id}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, 256)
        finally:
            os.close(fd)
