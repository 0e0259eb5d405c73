"""The process of a loop, and the loop's thread, as the kernel shows them to the same user (Linux)."""

from __future__ import annotations

import os

from . import proc


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

    def cpu_ns(self, native_id: int) -> int | None:
        """The CPU time of the thread so far; `None` where the kernel does not show it."""
        try:
            return int(self._read(native_id, "schedstat").split()[0])
        except (OSError, ValueError, IndexError):
            return None

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
