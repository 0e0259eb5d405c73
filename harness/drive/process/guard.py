"""Ends the processes that the runner started when the runner itself has ended, even by `kill -9`.

A small process beside the run sleeps until its stdin closes, which happens when the runner ends. This is not
done with `PR_SET_PDEATHSIG`, which must be set between fork and exec, by Python code or an intermediate
program, and sends only one signal. Thus the target starts as it would without us, is asked to end by its own
stop signal, and is killed only if it does not.
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
    """Guards processes for the duration of the ``with`` block; those still alive at its end are ended, too.

    The folders *litter* are then removed.
    """

    def __init__(self, *litter: Path) -> None:
        self._litter = litter

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            # By its path and without `site`: it needs neither the harness nor any installed package.
            [sys.executable, "-I", "-S", __file__, *self._litter],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # a signal to the runner's group must not reach it
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def over(
        self, pid: int, *, stop_signal: int = signal.SIGTERM, within_s: float = 5.0, whole_group: bool = False
    ) -> None:
        """Guard process *pid*: at the end send *stop_signal*, and kill its group *within_s* seconds later.

        With *whole_group*, what remains of its group is killed although it has ended itself.
        """
        assert self._process.stdin is not None
        # If the guard itself was killed, the run goes on without it.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{pid} {stop_signal:d} {within_s} {whole_group:d}\n".encode())


def kill_group(pid: int) -> None:
    """Kill what remains of the group that process *pid* leads, or led."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _main() -> None:
    wards: list[tuple[int, int, int, float]] = []
    groups: list[int] = []
    for line in sys.stdin:
        pid, number, within_s, whole_group = line.split()
        # A descriptor keeps naming this process; its pid may be reused.
        with contextlib.suppress(ProcessLookupError):
            wards.append((os.pidfd_open(int(pid)), int(pid), int(number), float(within_s)))
        groups += [int(pid)] * int(whole_group)
    began_s = time.monotonic()
    for fd, _, number, _ in wards:
        _send(fd, number)
    for fd, pid, _, within_s in wards:
        ended, _, _ = select.select([fd], [], [], max(0.0, began_s + within_s - time.monotonic()))
        if not ended:
            kill_group(pid)
            _send(fd, signal.SIGKILL)  # it may have moved to another group
    for pid in groups:
        kill_group(pid)
    for folder in sys.argv[1:]:
        shutil.rmtree(folder, ignore_errors=True)


def _send(fd: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(fd, number)


if __name__ == "__main__":
    _main()
