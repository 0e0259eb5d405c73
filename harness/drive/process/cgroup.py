"""External reasons why a process does not run: a stop signal, its cgroup, the host (Linux)."""

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


def is_frozen(pid: int) -> bool:
    """Whether the process's cgroup, or one around it, is frozen, as by `docker pause`."""
    for controllers, group in _groups_of(pid):
        try:
            if "freezer" in controllers.split(","):
                state = (CGROUPS / controllers / group / "freezer.state").read_text()
                found = state.strip() != "THAWED"
            elif not controllers:
                # Version 2, alone or beside version 1.
                place = CGROUPS / "unified" if (CGROUPS / "unified").is_dir() else CGROUPS
                found = "frozen 1" in (place / group / "cgroup.events").read_text()
            else:
                continue
        except OSError:
            continue
        if found:
            return True
    return False


def why_stopped(pid: int) -> str:
    """In words, what stops the process as a whole; "" if nothing does."""
    if is_stopped(pid):
        return f"stopped by a signal; kill -CONT {pid} resumes it"
    return "frozen by its cgroup, as by docker pause; docker unpause resumes it" if is_frozen(pid) else ""


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


def _groups_of(pid: int) -> list[tuple[str, str]]:
    """The process's cgroups: of which controllers, "" for version 2, and the path."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = (line.split(":", 2) for line in lines)
    return [(controllers, group.lstrip("/")) for _, controllers, group in found]


@cache
def _statistics_of(pid: int) -> Path | None:
    for controllers, group in _groups_of(pid):
        path = CGROUPS / controllers / group / "cpu.stat"
        if ("cpu" in controllers.split(",") or not controllers) and path.exists():
            return path
    return None
