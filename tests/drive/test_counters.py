"""The counters of loops, as the runner reads them from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from harness.drive.counters import Counters
from harness.record import page
from tests.support.watched import run_folder

MS = 1_000_000


def test_each_loop_of_a_process_that_lives_is_read(tmp_path: Path) -> None:
    """With its number, what it has counted, and what came since the last reading; not of one that ended."""
    folder, now_ns = run_folder(tmp_path / "run"), time.monotonic_ns()
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    loops = {
        (pid, number): page.create(
            folder.loops / f"{pid}-{number}.page", started_ns=now_ns, limit_ns=60_000 * MS
        )
        for pid, number in ((os.getpid(), 0), (os.getpid(), 12), (ended.pid, 0))
    }
    loops[ended.pid, 0][page.PID] = ended.pid
    words = loops[os.getpid(), 12]
    words[page.TURNS], words[page.BUSY_NS], words[page.LONGEST_NS], words[page.BLOCKS] = (
        7,
        80 * MS,
        70 * MS,
        2,
    )
    counters = Counters(folder)
    first = list(counters.sample())
    bucket = (3 * MS).bit_length()
    words[page.TURNS], words[page.COUNTS + bucket], words[page.SUMS + bucket] = 9, 2, 6 * MS
    _, later = counters.sample()

    assert [(one.pid, one.loop, one.turns) for one in first] == [(os.getpid(), 0, 0), (os.getpid(), 12, 7)]
    assert (first[1].busy_ns, first[1].longest_ns, first[1].blocks) == (80 * MS, 70 * MS, 2)
    assert (first[1].recent_ns, later.turns, later.recent_ns) == (0, 9, 3 * MS)
    assert later.at_ns >= first[1].at_ns >= now_ns
