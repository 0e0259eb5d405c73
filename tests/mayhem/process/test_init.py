"""Process 1 of a container forwards signals and reaps zombies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE

import pytest

from harness.mayhem.process.init import fork_if_first
from tests.mayhem.support.pid_namespace import FIRST, NOT_PERMITTED, permitted

PATIENCE_S = 60


pytestmark = pytest.mark.skipif(not permitted(), reason=NOT_PERMITTED)

SERVICE = """
import os, sys, time
from harness.mayhem.process.init import fork_if_first
fork_if_first()
try:
    print(os.getpid(), os.getppid(), flush=True)
    exec(sys.argv[1])
except KeyboardInterrupt:
    sys.exit(7)
"""
# A grandchild whose parent ends at once becomes a child of process 1.
ORPHANS = """
from pathlib import Path
for _ in range(20):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
def zombies():
    states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path("/proc").glob("[0-9]*/stat")]
    return states.count("Z")
deadline = time.monotonic() + 30
while zombies() and time.monotonic() < deadline:
    time.sleep(0.01)
print("zombies:", zombies(), flush=True)
"""


@contextmanager
def first(then: str) -> Iterator[subprocess.Popen[str]]:
    """Run *then* under process 1."""
    command = [*FIRST, sys.executable, "-c", SERVICE, then]
    with subprocess.Popen(command, stdout=PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "2 1\n"
            yield process
        finally:
            process.kill()


def inside(process: subprocess.Popen[str]) -> int:
    """The pid of process 1 outside of its namespace."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
        return int(children.read())


@pytest.mark.parametrize(
    ("signum", "then", "status"),
    [
        (signal.SIGTERM, "time.sleep(60)", 128 + signal.SIGTERM),
        (signal.SIGQUIT, "time.sleep(60)", 128 + signal.SIGQUIT),
        # One that comes just before Python sleeps does not wake it up.
        (signal.SIGINT, "while True: time.sleep(0.1)", 7),
    ],
)
def test_signals_reach_the_service_and_its_status_is_told(
    signum: signal.Signals, then: str, status: int
) -> None:
    """Signals reach the service, even those that process 1 would ignore without a handler."""
    with first(then) as process:
        os.kill(inside(process), signum)

        assert process.wait(PATIENCE_S) == status


def test_without_it_the_signal_is_lost() -> None:
    """Control: process 1 without a handler is not ended by SIGTERM."""
    program = "import time; print(flush=True); time.sleep(1); print('still here')"
    with subprocess.Popen([*FIRST, sys.executable, "-c", program], stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(inside(process), signal.SIGTERM)
        rest, _ = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, rest) == (0, "still here\n")


def test_orphans_are_buried() -> None:
    """Orphans are reaped, and do not end the service."""
    with first(ORPHANS) as process:
        rest, _ = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, rest) == (0, "zombies: 0\n")


def test_anywhere_else_nothing_happens() -> None:
    """Any other process does not fork."""
    before = os.getpid()
    fork_if_first()

    assert os.getpid() == before
