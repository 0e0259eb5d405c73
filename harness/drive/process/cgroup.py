"""External reasons why a process does not run: a stop signal, its cgroup's CPU limit, the host (Linux)."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped, by SIGSTOP or a debugger; false when it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in "Tt"


def throttled_ns(pid: int) -> int:
    """How long the process's cgroup has been throttled so far; 0 if that is unknown."""
    path = _statistics_of(pid)
    try:
        lines = path.read_text().splitlines() if path else []
    except OSError:
        return 0
    values = dict(line.split() for line in lines)
    if "throttled_usec" in values:  # version 2
        return int(values["throttled_usec"]) * 1_000
    return int(values.get("throttled_time", 0))  # version 1, in nanoseconds


def stolen_ns() -> int:
    """How long the host has kept this virtual machine's processors from it so far; 0 if that is unknown."""
    try:
        with Path("/proc/stat").open(encoding="ascii") as file:
            return int(file.readline().split()[8]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0


@cache
def _statistics_of(pid: int) -> Path | None:
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in groups:
        _, controllers, group = line.split(":", 2)
        path = CGROUPS / controllers / group.lstrip("/") / "cpu.stat"
        if ("cpu" in controllers.split(",") or not controllers) and path.exists():
            return path
    return None
