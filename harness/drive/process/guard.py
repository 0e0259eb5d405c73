"""Ends what the runner started when the runner itself is gone, be it by `kill -9`.

A small process beside the run that sleeps until its stdin ends, which the runner's death brings about. Not
`PR_SET_PDEATHSIG`: that would have to be set between fork and exec, by Python code or by a program in
between, and knows a single signal. So the target starts exactly as it would without us, is asked to end by
its own signal, and is killed only when it does not.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self


class Guard:
    """Watches over processes for as long as the block runs; what still lives at its end is ended, too.

    *litter* are folders that are worth nothing afterwards, and removed.
    """

    def __init__(self, *litter: Path) -> None:
        self._litter = litter

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            # By its path, and without `site`: it needs neither the harness nor what is installed.
            [sys.executable, "-I", "-S", __file__, *self._litter],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # what ends the runner's group must not reach it
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def over(self, pid: int, *, stop_signal: int = signal.SIGTERM, within_s: float = 5.0) -> None:
        """Without us, process *pid* gets that signal; it and its group are killed when that does not help."""
        assert self._process.stdin is not None
        # Somebody killed the guard: the run goes on without.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{pid} {stop_signal:d} {within_s}\n".encode())


def kill_group(pid: int) -> None:
    """Kill what is left of the group that process *pid* leads, or led."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _main() -> None:
    wards: list[tuple[int, int, int, float]] = []
    for line in sys.stdin:
        pid, number, within_s = line.split()
        # A descriptor is this very process for ever; its number may be another's by then.
        with contextlib.suppress(ProcessLookupError):
            wards.append((os.pidfd_open(int(pid)), int(pid), int(number), float(within_s)))
    began_s = time.monotonic()
    for fd, _, number, _ in wards:
        _send(fd, number)
    for fd, pid, _, within_s in wards:
        ended, _, _ = select.select([fd], [], [], max(0.0, began_s + within_s - time.monotonic()))
        if not ended:
            kill_group(pid)
            _send(fd, signal.SIGKILL)  # it may be in somebody else's group
    for folder in sys.argv[1:]:
        shutil.rmtree(folder, ignore_errors=True)


def _send(fd: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(fd, number)


if __name__ == "__main__":
    _main()
