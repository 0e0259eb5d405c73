"""A loop's counters in shared memory: a small file that the probe maps and anybody may read.

The probe writes plain 64-bit stores, no system call and no lock, so it costs nanoseconds and survives
`kill -9` (the kernel keeps the page). A reader may see a store half a turn old; every field is right on its
own. Layout, in machine-order signed 64-bit words:

    0 MAGIC      1 version    2 pid       3 native thread id
    4 turn       when the running turn began (monotonic ns), 0 while the loop waits; of a healthy loop, its
                 latest sign of life
    5 turns      6 busy_ns    7 longest_ns (the longest turn)  8 blocks (turns over the limit)
    9 started_ns 10 stopped_ns (0 while it runs)  11 limit_ns
    12 due       when the loop that waits should be awake again (monotonic ns), 0 for no such time
    13 looked    when the watchdog last looked at the late loop (monotonic ns)
    16 + b       turns of a length of b bits: of 2**(b-1) to 2**b - 1 nanoseconds, b < 64; shorter ones
                 than 2**16 nanoseconds are all in b = 16
    80 + b       the sum of their lengths in nanoseconds
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

MAGIC = 0x706F6F6C6E797361  # "asynloop"
VERSION = 1
PID, THREAD, TURN, TURNS, BUSY_NS, LONGEST_NS, BLOCKS = 2, 3, 4, 5, 6, 7, 8
STARTED_NS, STOPPED_NS, LIMIT_NS, DUE, LOOKED = 9, 10, 11, 12, 13
COUNTS, SUMS, BUCKETS = 16, 80, 64
WORDS = 512
# A healthy loop writes to its page only when the watchdog looks, which may itself be late by this much.
GRACE_NS = 15_000_000


def sample_after_ns(limit_ns: int) -> int:
    """How late a loop must be before the watchdog samples it for the first time."""
    return limit_ns // 2


def overdue_after_ns(limit_ns: int) -> int:
    """How old a loop's last sign of life must be, seen from outside, for the loop to be late for certain."""
    return sample_after_ns(limit_ns) + GRACE_NS


def create(path: Path, *, started_ns: int, limit_ns: int) -> memoryview:
    """A new page, mapped for writing, as a view of 64-bit words. The mapping lives as long as the view.

    Raises:
        OSError: The file cannot be created or mapped.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.truncate(fd, WORDS * 8)
        words = memoryview(mmap.mmap(fd, WORDS * 8)).cast("q")
    finally:
        os.close(fd)
    words[1], words[2] = VERSION, os.getpid()
    words[STARTED_NS], words[LIMIT_NS] = started_ns, limit_ns
    words[0] = MAGIC
    return words


class PageView:
    """A page mapped for reading: its first words can be read again and again without a system call.

    Raises:
        OSError: The page cannot be mapped.
    """

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._words = memoryview(mmap.mmap(fd, WORDS * 8, prot=mmap.PROT_READ)).cast("q")
        except ValueError as exc:  # the probe has not given it its size yet
            raise OSError(f"{path}: not ready") from exc
        finally:
            os.close(fd)

    def __getitem__(self, word: int) -> int:
        return int(self._words[word])


@dataclass(frozen=True, slots=True)
class Page:
    """One reading of a loop's counters."""

    pid: int
    native_thread_id: int
    turn_ns: int  # when the running turn began, 0 while the loop waits
    due_ns: int  # when the waiting loop should be awake again, 0 while it runs or for no such time
    turns: int
    busy_ns: int
    longest_ns: int
    blocks: int
    started_ns: int
    stopped_ns: int
    limit_ns: int
    counts: tuple[int, ...]  # turns by the number of bits of their length in nanoseconds
    sums_ns: tuple[int, ...]


def read(path: Path) -> Page | None:
    """The counters now; `None` while the page is not ready, or is not one."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if len(data) < WORDS * 8:
        return None
    words = struct.unpack(f"={WORDS}q", data)
    if words[0] != MAGIC or words[1] != VERSION:
        return None
    return Page(
        pid=words[2],
        native_thread_id=words[3],
        turn_ns=words[TURN],
        due_ns=words[DUE],
        turns=words[TURNS],
        busy_ns=words[BUSY_NS],
        longest_ns=words[LONGEST_NS],
        blocks=words[BLOCKS],
        started_ns=words[STARTED_NS],
        stopped_ns=words[STOPPED_NS],
        limit_ns=words[LIMIT_NS],
        counts=words[COUNTS : COUNTS + BUCKETS],
        sums_ns=words[SUMS : SUMS + BUCKETS],
    )
