"""A process that gets no processor is told from a program that blocks, and why is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from harness.drive.processor import is_stopped, throttled_ns

PROGRAM = """
import asyncio

async def main():
    print("ready", flush=True)
    for _ in range(200):
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


def test_a_stopped_process_is_said_to_have_been_stopped(tmp_path):
    """SIGSTOP for most of a second: the loop was due, and the report blames nobody's code."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "harness", "watch", "--out", str(tmp_path / "run"), "--"]
    watching = subprocess.Popen(
        [*command, sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert watching.stdout.readline() == "ready\n"
    (mark,) = (tmp_path / "run" / "processes").iterdir()
    pid = int(mark.name.partition("-")[0])
    os.kill(pid, signal.SIGSTOP)
    stopped = [is_stopped(pid)]
    began = time.monotonic()
    while time.monotonic() < began + 0.8:  # how long it is stopped, not a wait for something
        stopped.append(is_stopped(pid))
        time.sleep(0.01)
    os.kill(pid, signal.SIGCONT)
    watching.communicate(timeout=60)
    assert stopped[-1]

    report = json.loads((tmp_path / "run" / "report.json").read_text())
    blocks = [block for block in report["blocks"] if block["held_ms"] > 500]
    assert [(block["cause"], block["leaf"]) for block in blocks] == [("descheduled", "stopped by a signal")]


def test_a_running_process_is_not_stopped():
    """The negative control, and a process that is gone."""
    assert not is_stopped(os.getpid())
    assert throttled_ns(os.getpid()) >= 0
    assert not is_stopped(2**22 + 1)
    assert throttled_ns(2**22 + 1) == 0
