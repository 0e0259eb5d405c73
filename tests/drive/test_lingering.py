"""Programs that do not end when they are asked to: there is a report all the same, and it says why."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.record.event import ExitDelayed, TargetStarted
from tests.support.commanded import harness, running
from tests.support.recorded import recorded
from tests.support.watched import watched

STUBBORN = """
import asyncio, signal
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: print("no", flush=True))
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.long
def test_a_program_that_ignores_ctrl_c_has_a_report_while_it_runs(tmp_path: Path) -> None:
    """It is written some seconds after the signal, and stays when everything is killed after that."""
    (tmp_path / "program.py").write_text(STUBBORN)
    with running("watch", "--", sys.executable, "program.py", cwd=tmp_path, start_new_session=True) as run:
        assert run.process.stdout.readline() == "ready\n"
        run.process.send_signal(signal.SIGINT)
        assert run.process.stdout.readline() == "no\n"
        said = run.process.stderr.readline()
        where = run.process.stderr.readline()
        run.process.send_signal(signal.SIGKILL)
        run.process.wait()
        report: dict[str, Any] = json.loads((tmp_path / "run/report.json").read_text())

    assert said.startswith("the program still runs 6.")
    assert "after SIGINT: Partial record" in said
    assert where == "  the report so far: run/report.html\n"
    assert report["run"]["partial"]


# A library's thread that waits for work; the program has forgotten to close what owns it.
FORGOTTEN = """
import asyncio, queue, threading

def worker(jobs):
    while (job := jobs.get()) is not None:
        job.set()

async def main():
    jobs, done = queue.SimpleQueue(), threading.Event()
    threading.Thread(target=worker, args=(jobs,), name="database"{daemon}).start()
    jobs.put(done)
    await asyncio.to_thread(done.wait)
    {close}

asyncio.run(main())
"""


def test_a_thread_that_waits_for_ever_after_the_loop_is_the_first_sentence(tmp_path: Path) -> None:
    """With its name and line, once somebody has pressed Ctrl-C; which ends the program as ever."""
    (tmp_path / "program.py").write_text(FORGOTTEN.format(daemon="", close="pass"))
    with running("watch", "--", sys.executable, "program.py", cwd=tmp_path, start_new_session=True) as run:
        run.wait_event(ExitDelayed, 2)
        run.process.send_signal(signal.SIGINT)
        ended = run.ended()

    (pid,) = [started.pid for started in recorded(ended.folder.events, TargetStarted)]
    first = ended.report["run"]["verdict"]
    assert first.startswith(f"Process {pid} ran on for ")
    told = "after its main thread: thread database waits in worker (program.py:5), and nothing wakes it up"
    assert told in first


WORKS = """
import asyncio, os, signal, socket, sys, threading, time
def work():
    {work}
async def main():
    await asyncio.sleep(0.05)
asyncio.run(main())
threading.Thread(target=work, name="worker").start()
{after}
"""
# What it does in its thread after the loop; a signal ends it after two looks, if it does not end by itself.
SERVES = "socket.create_server(('127.0.0.1', 0)).accept()"
COMPUTES = "[sum(range(10_000)) for _ in range(99_999)]"
WAITS = "[threading.Event().wait(0.3) for _ in range(99)]"


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(SERVES, id="serves"),
        pytest.param(COMPUTES, id="computes", marks=pytest.mark.long),
        pytest.param(WAITS, id="waits with a time limit"),
    ],
)
def test_a_thread_that_works_after_the_loop_is_no_trouble(work: str, tmp_path: Path) -> None:
    """The program is made so: what lasts is told, and is no warning, though a signal ended it."""
    (tmp_path / "program.py").write_text(WORKS.format(work=work, after=""))
    with running("watch", "--", sys.executable, "program.py", cwd=tmp_path, start_new_session=True) as run:
        run.wait_event(ExitDelayed, 2)
        started = run.wait_event(TargetStarted)
        os.kill(started.pid, signal.SIGKILL)
        ended = run.ended()

    assert [found["level"] for found in ended.report["findings"] if found["rule"] == "ending"] == ["note"]


@pytest.mark.parametrize(
    "program",
    [
        FORGOTTEN.format(daemon=", daemon=True", close="pass"),
        FORGOTTEN.format(daemon="", close="jobs.put(None)"),
    ],
    ids=["daemon", "closed"],
)
def test_a_thread_that_does_not_keep_the_process_is_no_trouble(program: str, tmp_path: Path) -> None:
    """It ends with the program, or before it."""
    (tmp_path / "program.py").write_text(program)
    ended = harness("watch", "--", sys.executable, "program.py", cwd=tmp_path)

    assert [found for found in ended.report["findings"] if found["rule"] == "ending"] == []


HANDLERS = """
import asyncio, atexit, time
class Spool:
    def close(self):
        time.sleep(1.5)
{before}
async def main():
    await asyncio.sleep(0.05)
asyncio.run(main())
{after}
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [("atexit.register(Spool().close)", ""), ("", "atexit.register(Spool().close)")],
    ids=["registered before the loop", "after it"],
)
def test_an_exit_handler_that_takes_long_is_recorded(before: str, after: str, tmp_path: Path) -> None:
    """Also one that runs after the probe's own, when the record of the process has ended."""
    seen = watched(HANDLERS.format(before=before, after=after), tmp_path)

    (lasting,) = seen.of(ExitDelayed)
    assert lasting.threads == ()
    assert [(frame.function, frame.line) for frame in lasting.exit_handler] == [("Spool.close", 5)]
    assert all(source.closed for source in seen.sources)
