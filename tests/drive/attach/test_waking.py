"""A thread that waits in the kernel is made to look whether Python has something to do."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from harness.drive.attach import waking
from tests.support.commanded import wait
from tests.support.process import Piped

# The handler is due from the first line on; nothing but the main thread can run it, and nothing wakes that.
PROGRAM = """
import _thread, select, signal, sys, threading, time

def ask():
    sys.stdin.readline()
    _thread.interrupt_main(signal.SIGUSR1)
    print("due", flush=True)

signal.signal(signal.SIGUSR1, lambda *_: print("runs", flush=True))
threading.Thread(target=ask, daemon=True).start()
WAIT
"""
WAITS = (
    "time.sleep(600)",
    "select.select([], [], [], 600)",
    "select.poll().poll(600_000)",
    "select.epoll().poll(600)",
)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only the waits of x86-64 are known")
@pytest.mark.parametrize("waits", WAITS)
def test_a_thread_that_waits_runs_python_for_a_moment_and_waits_on(waits: str) -> None:
    """Not before it is woken; afterwards it is in the same wait."""
    program = PROGRAM.replace("WAIT", waits)
    with Piped(
        [sys.executable, "-c", program], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            pid = process.pid
            number = wait(lambda: (n := waking.system_call(pid, pid)) in waking.WAITS and n)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "due\n"
            assert waking.system_call(pid, pid) == number

            assert waking.wake(pid, pid)
            assert process.stdout.readline() == "runs\n"
            assert wait(lambda: waking.system_call(pid, pid) == number)
        finally:
            process.kill()
