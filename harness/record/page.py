"""A loop's counters in shared memory: a small file that the probe maps and any process can read.

The probe writes plain 64-bit stores without system calls or locks, which takes nanoseconds; the kernel keeps
the page after `kill -9`. Each field is correct by itself, but fields may be from different moments of a turn.
Layout, in signed 64-bit words in native byte order:

    0 MAGIC      1 version    2 pid       3 native thread id
    4 turn       when the running turn began (monotonic ns), 0 while the loop waits; for a healthy loop, the
                 time of its latest heartbeat
    5 turns      6 busy_ns    7 longest_ns (the longest turn)  8 blocks (turns over the limit)
    9 started_ns 10 stopped_ns (0 while it runs)  11 limit_ns
    12 due       when the waiting loop should wake up (monotonic ns), 0 if there is no such time
    13 looked    when the watchdog last sampled the late loop (monotonic ns)
    14 since_ns  when the running loop began to run (monotonic ns), 0 while none runs
    15 ran_ns    how long the loops that have stopped ran, added up
    16 + b       turns of 2**(b-1) to 2**b - 1 nanoseconds, b < 64; all turns shorter than 2**16 nanoseconds
                 are in b = 16
    80 + b       the sum of the durations of those turns in nanoseconds
    144 late     turns over the limit that are noted below, so far
    145 + 3 * i  the latest of them, i = number % 64: when it began, its length (ns), and the number of
                 callbacks it delayed, -1 while that is not known
    337 untimed  1 if loops ran here whose turns were counted, but not timed one by one; 2 if they were not
                 even counted and busy_ns is a lower bound; 3 for both
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .process.shared_words import map_words
from .value import Value

if TYPE_CHECKING:
    # Every process that runs a loop loads this file.
    from pathlib import Path

MAGIC = 0x706F6F6C6E797361  # "asynloop"
VERSION = 1
PID, THREAD, TURN, TURNS, BUSY_NS, LONGEST_NS, BLOCKS = 2, 3, 4, 5, 6, 7, 8
STARTED_NS, STOPPED_NS, LIMIT_NS, DUE, LOOKED, SINCE_NS, RAN_NS = 9, 10, 11, 12, 13, 14, 15
COUNTS, SUMS, BUCKETS = 16, 80, 64
# More than end between two writes of the record, so a killed process loses none of them.
LATE, LATE_TURNS, LATE_KEPT = 144, 145, 64
UNTIMED, COUNTED, UNCOUNTED = 337, 1, 2
WORDS = 512
# A healthy loop updates its page only when the watchdog checks it, which may be late by up to this.
GRACE_NS = 15_000_000


def sample_after_ns(limit_ns: int) -> int:
    """How late a loop must be before the watchdog samples it for the first time."""
    return limit_ns // 2


def overdue_after_ns(limit_ns: int) -> int:
    """Age of a loop's last heartbeat, read from outside, from which the loop is certainly late."""
    return sample_after_ns(limit_ns) + GRACE_NS


def create(path: str | Path, *, started_ns: int, limit_ns: int) -> memoryview:
    """Create a page and map it for writing, as a view of 64-bit words that keeps the mapping alive.

    Raises:
        OSError: The file cannot be created or mapped.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        # Not `truncate`, which leaves a hole: on a full disk, the first write into it would end the process.
        os.posix_fallocate(fd, 0, WORDS * 8)
        words = map_words(fd, WORDS)
    finally:
        os.close(fd)
    words[1], words[2] = VERSION, os.getpid()
    words[STARTED_NS], words[LIMIT_NS] = started_ns, limit_ns
    words[0] = MAGIC
    return words


def note_late(words: memoryview, began_ns: int, held_ns: int) -> None:
    """Note a turn over the limit, which has just ended."""
    at = LATE_TURNS + 3 * (words[LATE] % LATE_KEPT)
    words[at], words[at + 1], words[at + 2] = began_ns, held_ns, -1
    words[LATE] += 1


def note_delayed(words: memoryview, callbacks: int) -> None:
    """Note how many callbacks the latest turn over the limit delayed."""
    words[LATE_TURNS + 3 * ((words[LATE] - 1) % LATE_KEPT) + 2] = callbacks


class PageView:
    """A page mapped for reading, whose words can be read repeatedly without system calls.

    Raises:
        OSError: The page cannot be mapped.
    """

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._words = map_words(fd, WORDS, write=False)
        except ValueError as exc:  # the probe has not set its size yet
            raise OSError(f"{path}: not ready") from exc
        finally:
            os.close(fd)

    def __getitem__(self, word: int) -> int:
        return int(self._words[word])


def latest_late(words: PageView) -> tuple[int, int]:
    """When the latest turn over the limit began and when it ended (monotonic ns); 0 before the first."""
    if not (count := words[LATE]):
        return 0, 0
    at = LATE_TURNS + 3 * ((count - 1) % LATE_KEPT)
    return words[at], words[at] + words[at + 1]


class LateTurn(Value):
    """A turn over the limit that has ended."""

    at_ns: int
    held_ns: int
    delayed: int | None  # callbacks; `None` if the process ended before they were counted


class Page(Value):
    """One reading of a loop's counters."""

    pid: int
    native_thread_id: int
    turn_ns: int  # when the running turn began, 0 while the loop waits
    due_ns: int  # when the waiting loop should wake up, 0 while it runs or if there is no such time
    turns: int
    busy_ns: int
    longest_ns: int
    blocks: int
    started_ns: int
    stopped_ns: int
    limit_ns: int
    counts: tuple[int, ...]  # turns by the number of bits of their duration in nanoseconds
    sums_ns: tuple[int, ...]
    looked_ns: int = 0  # when the watchdog last sampled the late loop
    since_ns: int = 0  # when the running loop began to run, 0 while none runs
    ran_ns: int = 0  # how long the loops before it ran
    late: tuple[LateTurn, ...] = ()  # the latest turns over the limit, oldest first
    untimed: int = 0  # as in the layout above


def read(path: Path) -> Page | None:
    """The counters now, or None if the page is not ready or is not a page."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if len(data) < WORDS * 8:
        return None
    words = memoryview(data)[: WORDS * 8].cast("q").tolist()
    if words[0] != MAGIC or words[1] != VERSION:
        return None
    return reading(words)


def reading(words: Sequence[int]) -> Page:
    """The counters in a copy of a page's words."""
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
        counts=tuple(words[COUNTS : COUNTS + BUCKETS]),
        sums_ns=tuple(words[SUMS : SUMS + BUCKETS]),
        looked_ns=words[LOOKED],
        since_ns=words[SINCE_NS],
        ran_ns=words[RAN_NS],
        late=tuple(_late(words)),
        untimed=words[UNTIMED],
    )


def _late(words: Sequence[int]) -> Iterator[LateTurn]:
    for number in range(max(0, words[LATE] - LATE_KEPT), words[LATE]):
        at_ns, held_ns, delayed = words[LATE_TURNS + 3 * (number % LATE_KEPT) :][:3]
        yield LateTurn(at_ns, held_ns, delayed if delayed >= 0 else None)
