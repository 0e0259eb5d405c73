"""`harness watch`: everything about the program stays its own, and its loops are recorded."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.record.event import (
    Event,
    LoopStarted,
    ObserverFailed,
    TargetStarted,
    TargetStopping,
    ThreadsDumped,
    WriterOpened,
)
from harness.record.reader import Follower
from tests.support.commanded import COMMAND, Ended, Terminal, harness, running
from tests.support.pythons import SUPPORTED, needs_python
from tests.support.recorded import recorded

BLOCKS = """
import asyncio, time
async def main():
    await asyncio.sleep(0.05)
    time.sleep(0.3)
asyncio.run(main())
"""
SERVES = """
import asyncio, signal, sys
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: sys.exit(7))
    print("ready", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def watch(tmp_path: Path, text: str, *options: str, python: str = sys.executable, out: str = "run") -> Ended:
    """Watch a small program."""
    (tmp_path / "program.py").write_text(text)
    return harness("watch", *options, "--", python, "program.py", cwd=tmp_path, out=out)


def test_stdin_stdout_and_status_are_the_programs(tmp_path: Path) -> None:
    """Bytes in, bytes out, and the exit status; what the harness says goes to stderr."""
    program = (
        "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.stderr.write('own\\n'); sys.exit(5)"
    )
    done = subprocess.run(
        [*COMMAND, "watch", "--out", "run", "--", sys.executable, "-c", program],
        cwd=tmp_path,
        input="hello\n",
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (5, "HELLO\n")
    assert done.stderr.startswith("own\n")
    assert "crashed The target died on its own with status 5: The probe detected no event loop" in done.stderr


def test_a_block_is_reported_and_does_not_change_the_status(tmp_path: Path) -> None:
    """The program did well by its own account; the report is beside."""
    ended = watch(tmp_path, BLOCKS)

    assert (ended.status, ended.stdout) == (0, "")
    (block,) = ended.report["blocks"]
    assert (block["function"], Path(block["file"]).name, block["line"]) == ("main", "program.py", 5)
    assert ended.report["expectations"] == []


HELD = """
import asyncio, re

async def main():
    BEFORE
    re.match("(a+)+$", "a" * 60 + "b")

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "before",
    ["await asyncio.sleep(0.5)  # what was written in the last 100 ms is lost with a process", "pass"],
    ids=["later", "in its first turn"],
)
def test_a_process_that_is_killed_while_it_holds_the_gil_has_its_block(tmp_path: Path, before: str) -> None:
    """Only the runner has seen it, from outside: for the probe there was no way to say a word."""
    (tmp_path / "held.py").write_text(HELD.replace("BEFORE", before))
    with running("watch", "--", sys.executable, "held.py", cwd=tmp_path) as run:
        seen = run.wait_event(ThreadsDumped, 3)
        os.kill(seen.pid, signal.SIGKILL)
        ended = run.ended()

    (block,) = [block for block in ended.report["blocks"] if block["function"] == "main"]
    assert (block["cause"], block["line"], block["ended"]) == ("cpu", 6, False)
    assert block["held_ms"] > 100


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_death_by_a_signal_is_passed_on(tmp_path: Path, number: signal.Signals) -> None:
    """Our caller sees the signal, as it would have without us."""
    ended = watch(tmp_path, f"import os; os.kill(os.getpid(), {number:d})")

    assert ended.status == -number
    assert ended.report["run"]["target"]["exit"] == -number


def test_sigterm_reaches_the_program(tmp_path: Path) -> None:
    """It ends in its own way, and that is the end of the watch."""
    (tmp_path / "program.py").write_text(SERVES)
    with running("watch", "--", sys.executable, "program.py", cwd=tmp_path) as run:
        assert run.process.stdout.readline() == "ready\n"
        run.process.terminate()
        ended = run.ended()

        assert run.all_gone()
    assert ended.status == 7


def test_sigint_reaches_the_program_where_there_is_no_terminal(tmp_path: Path) -> None:
    """A service manager may stop it by SIGINT, which then only we get."""
    (tmp_path / "program.py").write_text(SERVES)
    with running("watch", "--", sys.executable, "program.py", cwd=tmp_path, start_new_session=True) as run:
        run.process.stdout.readline()
        run.process.send_signal(signal.SIGINT)
        ended = run.ended()

    assert ended.status == -signal.SIGINT
    assert "KeyboardInterrupt" in ended.stderr


def test_a_typed_interrupt_reaches_the_program_once(tmp_path: Path) -> None:
    """The terminal sends a Ctrl-C to both; the program gets it once, and we stay for the report."""
    (tmp_path / "program.py").write_text(
        "import signal, time\n"
        "caught = []\n"
        "signal.signal(signal.SIGINT, lambda *_: caught.append(1))\n"
        "print('ready', flush=True)\n"
        "while not caught: time.sleep(0.01)\n"
        "time.sleep(0.5)\n"
        "print('caught', len(caught), flush=True)\n"
    )
    watching = [*COMMAND, "watch", "--out", "run", "--", sys.executable, "program.py"]
    terminal = Terminal(watching, cwd=tmp_path)
    terminal.wait_for("ready")
    terminal.type("\x03")

    assert terminal.ended() == 0
    assert "caught 1" in terminal.shown
    assert (tmp_path / "run" / "report.html").exists()
    # So that a service that somebody ended is not taken for a program whose work was done.
    asked = recorded(tmp_path / "run" / "events", TargetStopping)
    assert [event.signal for event in asked] == ["SIGINT"]


def test_nothing_outlives_a_killed_watch(tmp_path: Path) -> None:
    """kill -9 of the watch: the program is asked to end as if we had been asked."""
    (tmp_path / "program.py").write_text(SERVES)
    with running("watch", "--", sys.executable, "program.py", cwd=tmp_path) as run:
        run.process.stdout.readline()
        run.process.kill()
        run.process.wait()

        assert run.all_gone()


def test_what_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    """The program inherits an ignored signal as it would have without us."""
    text = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    command = [*COMMAND, "watch", "--out", "run", "--", sys.executable, "-c", text]
    done = subprocess.run(
        ["nohup", *command], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )

    assert done.stdout == "True\n"


def test_python_children_are_recorded(tmp_path: Path) -> None:
    """A worker of the program writes a record of its own."""
    (tmp_path / "worker.py").write_text(BLOCKS)
    text = "import subprocess, sys; subprocess.run([sys.executable, 'worker.py'], check=True)"
    ended = watch(tmp_path, text)

    (block,) = ended.report["blocks"]
    assert Path(block["file"]).name == "worker.py"
    assert len(list(ended.folder.processes.iterdir())) == 2


@pytest.mark.parametrize("version", SUPPORTED)
def test_a_foreign_environment_is_watched_and_stays_as_it_is(tmp_path: Path, version: str) -> None:
    """A virtual environment of another Python, without anything of the harness, not even afterwards."""
    base = needs_python(version)
    subprocess.run([base, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    before = sorted((tmp_path / "venv").rglob("*"))
    text = (
        BLOCKS + "import importlib.util, json, sys\n"
        "print(json.dumps([importlib.util.find_spec('harness') is None, sys.version[:4], sys.prefix]))\n"
    )
    ended = watch(tmp_path, text, python=str(python))

    assert json.loads(ended.stdout) == [True, version, str(tmp_path / "venv")]
    (block,) = ended.report["blocks"]
    assert block["function"] == "main"
    (opened,) = [e for e in recorded(ended.folder.events, WriterOpened) if e.role == "target"]
    assert opened.python.startswith(f"{version}.")
    assert [e.mechanism for e in recorded(ended.folder.events, LoopStarted)] == ["select"]
    assert sorted((tmp_path / "venv").rglob("*")) == before


ISOLATED = "import asyncio; asyncio.run(asyncio.sleep(0.1))"


@pytest.mark.parametrize(
    ("command", "status", "reason"),
    [
        (["sh", "-c", "exit 3"], 3, "it is not a Python program"),
        ([sys.executable, "-I", "-c", ISOLATED], 0, "it was started with -I (isolated mode)"),
    ],
    ids=["not Python", "isolated"],
)
def test_a_program_that_the_probe_cannot_enter_is_not_called_well(
    tmp_path: Path, command: list[str], status: int, reason: str
) -> None:
    """The report says that nothing is known, and the status stays the program's own."""
    ended = harness("watch", "--", *command, cwd=tmp_path)

    assert ended.status == status
    word = "crashed" if status else "observed"
    (first,) = [line for line in ended.stderr.splitlines() if line.startswith(f"{word} ")]
    assert "No process was watched: " in first
    assert reason in first


def test_a_program_that_does_not_end_when_it_is_asked_to_is_a_finding(tmp_path: Path) -> None:
    """It was sent SIGTERM, and lived until somebody killed it."""
    stubborn = SERVES.replace("sys.exit(7)", 'print("no", flush=True)')
    (tmp_path / "program.py").write_text(stubborn)
    with running("watch", "--", sys.executable, "program.py", cwd=tmp_path) as run:
        run.process.stdout.readline()
        run.process.terminate()
        assert run.process.stdout.readline() == "no\n"
        follower = Follower(run.folder.events)
        seen: dict[type[Event], Event] = {}
        while not {LoopStarted, TargetStarted} <= seen.keys():
            seen |= {type(event): event for _, event in follower.new_events()}
        started = seen[TargetStarted]
        assert isinstance(started, TargetStarted)
        os.kill(started.pid, signal.SIGKILL)
        ended = run.ended()

    assert ended.status == -signal.SIGKILL
    (message,) = [found["message"] for found in ended.report["findings"] if found["rule"] == "target"]
    told = r"the target was asked to end by SIGTERM, ran for another .*s, and ended by SIGKILL"
    assert re.fullmatch(told, message)


def test_a_thread_of_the_runner_that_fails_makes_the_run_invalid(tmp_path: Path) -> None:
    """What it would have seen is missing: the program's output and end are its own all the same."""
    program = """
import asyncio, pathlib, shutil
async def main():
    (page,) = pathlib.Path("run/loops").glob("*.page")
    shutil.copy(page, page.with_name("foreign.page"))
    await asyncio.sleep(1.5)
    print("done")
asyncio.run(main())
"""
    done = watch(tmp_path, program, "--fail-on", "blocks.count>100")

    assert (done.status, done.stdout) == (3, "done\n")
    failures = recorded(tmp_path / "run" / "events", ObserverFailed)
    assert {each.observer for each in failures} == {"gil-watcher", "hang-watcher", "loop-follower"}
    findings = json.loads((tmp_path / "run" / "report.json").read_text())["findings"]
    told = "the loop-follower of the runner failed, and what it sees is missing: ValueError: "
    assert any(finding["message"].startswith(told) for finding in findings)
