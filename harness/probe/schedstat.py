"""How long a thread ran, and how long it waited for a processor, by the kernel's own books (Linux)."""

from __future__ import annotations

from typing import NamedTuple


class Usage(NamedTuple):
    """Since the thread began."""

    cpu_ns: int
    queued_ns: int  # runnable, but other programs had the processors


def read(native_thread_id: int) -> Usage | None:
    """The thread's usage so far; `None` where the kernel does not tell."""
    try:
        with open(f"/proc/self/task/{native_thread_id}/schedstat", "rb") as file:  # noqa: PTH123
            cpu_ns, queued_ns = file.read().split()[:2]
        return Usage(int(cpu_ns), int(queued_ns))
    except (OSError, ValueError):
        return None
