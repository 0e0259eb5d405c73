"""The signal by which a runner asks a process to end itself ends only one whose loop hangs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from harness.record.event import HungProcessEnded, ProbeFailed
from harness.record.process.end_request import NUMBER
from tests.support.watched import outcome, start

PROGRAM = """
import asyncio, os, signal, sys
async def main():
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    WORK
    print("done", flush=True)
asyncio.run(main())
"""


def test_a_loop_that_has_come_back_is_not_ended(tmp_path: Path) -> None:
    """The signal may come late: the program goes on."""
    process, folder = start(PROGRAM.replace("WORK", "pass"), tmp_path, hang_exit_s=5.0)
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, NUMBER)
    process.stdin.write("go on\n")
    ended = outcome(process, folder)

    assert (ended.status, ended.stdout) == (0, "done\n")
    assert ended.of(HungProcessEnded) == []


def test_a_loop_that_hangs_is_ended_once(tmp_path: Path) -> None:
    """Its tasks are recorded once, although the watchdog and the signal come at the same time."""
    work = f"import time; time.sleep(0.3); os.kill(os.getpid(), {int(NUMBER)}); time.sleep(60)"
    process, folder = start(PROGRAM.replace("WORK", work), tmp_path, hang_exit_s=0.3)
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go on\n")
    ended = outcome(process, folder)

    assert ended.status == -signal.SIGABRT
    (end,) = ended.of(HungProcessEnded)
    assert (end.by, end.pending) == ("probe", 1)


def test_a_program_without_the_option_has_no_handler(tmp_path: Path) -> None:
    """The signal has its default action there."""
    work = f"print(signal.getsignal({int(NUMBER)}) == signal.SIG_DFL)"
    process, folder = start(PROGRAM.replace("WORK", work), tmp_path)
    process.stdin.write("go on\n")

    assert outcome(process, folder).stdout.splitlines() == ["ready", "True", "done"]


def test_a_program_that_uses_the_signal_keeps_its_handler(tmp_path: Path) -> None:
    """Also where one loop follows another."""
    handled = f"signal.signal({int(NUMBER)}, lambda *_: print('its own', flush=True))\nasyncio.run(main())"
    program = PROGRAM.replace("asyncio.run(main())", f"{handled}\nasyncio.run(main())")
    work = f"os.kill(os.getpid(), {int(NUMBER)})"
    process, folder = start(program.replace("WORK", work), tmp_path, hang_exit_s=5.0)
    process.stdin.write("go on\ngo on\n")

    assert outcome(process, folder).stdout.splitlines() == ["ready", "its own", "done"] * 2


def test_a_loop_in_another_thread_is_watched_without_the_signal(tmp_path: Path) -> None:
    """Only the main thread may set a handler; nothing fails for it."""
    in_thread = "import threading; thread = threading.Thread(target=asyncio.run, args=(main(),))"
    program = PROGRAM.replace("asyncio.run(main())", f"{in_thread}; thread.start(); thread.join()")
    work = f"print(signal.getsignal({int(NUMBER)}) == signal.SIG_DFL)"
    process, folder = start(program.replace("WORK", work), tmp_path, hang_exit_s=5.0)
    process.stdin.write("go on\n")
    ended = outcome(process, folder)

    assert ended.stdout.splitlines() == ["ready", "True", "done"]
    assert ended.of(ProbeFailed) == []
