"""What a process has at a moment, seen from outside; and whether a figure only grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Footprint(NamedTuple):
    rss_mb: float
    descriptors: int
    threads: int


def footprint(pid: int) -> Footprint:
    """Resident memory, open descriptors and threads of a process that lives."""
    proc = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    descriptors = sum(1 for _ in (proc / "fd").iterdir())
    return Footprint(int(status["VmRSS"].split()[0]) / 1024, descriptors, int(status["Threads"]))


def only_grows(values: Sequence[float]) -> bool:
    """Whether each value of the last quarter is above all of the first: no load that comes and goes."""
    part = max(len(values) // 4, min(3, len(values) // 2))
    return part > 0 and min(values[-part:]) > max(values[:part])
