"""The ways a run ends before its time: each with its exit status, its record, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.drive.process.cgroup import is_stopped
from harness.read.formats import render
from harness.read.history import load
from harness.read.report import build
from harness.record.event import Completed, TargetExited, TargetReady, TargetStarted, TargetStopping
from tests.support.commanded import COMMAND, Running, harness, running, scenario, wait
from tests.support.recorded import recorded

pytestmark = pytest.mark.slow

# A service that does not listen to its stop signal, with a child that neither does.
DEAF = """
import asyncio, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
async def main():
    if sys.argv[1:] == ["parent"]:
        subprocess.Popen([sys.executable, __file__])
    print("ready", flush=True)
    await asyncio.sleep(300)
asyncio.run(main())
"""


def program(tmp_path: Path, text: str, *arguments: str, more: str = "") -> Path:
    """A scenario that runs *text*."""
    (tmp_path / "program.py").write_text(text)
    command = [sys.executable, "program.py", *arguments]
    return scenario(
        tmp_path, f'[target]\nkind = "program"\ncommand = {command}\nready = {{ log = "ready" }}\n{more}'
    )


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Running]:
    """A run in the middle of its load."""
    with running("run", scenario(tmp_path), cwd=tmp_path) as run:
        run.wait_event(Completed, 20)
        yield run


def test_interrupted_it_stops_with_manners_and_reports(loaded: Running) -> None:
    """SIGINT: 130, the service drained, its ledger taken, the report there."""
    loaded.process.send_signal(signal.SIGINT)
    ended = loaded.ended()

    assert ended.status == 130
    assert loaded.all_gone()
    assert ended.stdout.startswith("aborted Partial record (it was interrupted): ")
    report = ended.report
    assert (report["run"]["outcome"], report["run"]["partial"]) == ("aborted", False)
    assert report["run"]["target"]["exit"] == 0
    assert report["ledger"]["lost"] == report["ledger"]["acked_unsaved"] == 0
    assert report["ledger"]["acked"] >= 20
    assert (ended.folder.path / "report.html").exists()


@pytest.mark.long
def test_sigterm_is_as_good_as_sigint(loaded: Running) -> None:
    """A service manager's SIGTERM: the same, and the record is whole."""
    loaded.process.send_signal(signal.SIGTERM)
    ended = loaded.ended()

    assert (ended.status, ended.report["run"]["outcome"]) == (130, "aborted")
    assert ended.report["ledger"]["lost"] == 0
    assert loaded.all_gone()


def test_a_second_interrupt_cuts_short(tmp_path: Path) -> None:
    """A target that takes its time to end is killed, and the report is still written."""
    file = program(tmp_path, DEAF, more="stop_within_s = 60.0")
    with running("run", file, cwd=tmp_path) as run:
        run.wait_event(TargetReady)
        run.process.send_signal(signal.SIGINT)
        run.wait_event(TargetStopping)
        run.process.send_signal(signal.SIGINT)
        ended = run.ended()

        assert run.all_gone()
    assert (ended.status, ended.report["run"]["target"]["exit"]) == (130, -signal.SIGKILL)


@pytest.mark.long
def test_a_second_interrupt_while_the_load_is_stopped_cuts_short_as_well(loaded: Running) -> None:
    """A driver that hangs holds nobody up: it is killed, and so is the target."""
    driver = loaded.pid_of("driver")
    os.kill(driver, signal.SIGSTOP)
    wait(lambda: is_stopped(driver))  # else a SIGTERM that comes soon is handled before it stops
    loaded.process.send_signal(signal.SIGINT)
    wait(lambda: is_pending(driver, signal.SIGTERM))
    loaded.process.send_signal(signal.SIGINT)
    ended = loaded.ended()

    assert (ended.status, ended.report["run"]["target"]["exit"]) == (130, -signal.SIGKILL)
    assert loaded.all_gone()


def is_pending(pid: int, number: int) -> int:
    """Whether a signal waits for a process that is stopped."""
    status = Path(f"/proc/{pid}/status").read_text()
    pending = next(line for line in status.splitlines() if line.startswith("ShdPnd:"))
    return int(pending.split()[1], 16) >> (number - 1) & 1


def test_a_killed_target_leaves_a_report_of_what_was(loaded: Running) -> None:
    """kill -9 of the target: crashed, 4, the load and the ledger up to then."""
    os.kill(loaded.wait_event(TargetStarted).pid, signal.SIGKILL)
    ended = loaded.ended()

    assert ended.status == 4
    assert loaded.all_gone()
    assert ended.stdout.startswith("crashed The target died on its own by SIGKILL: ")
    report = ended.report
    assert report["run"]["target"]["exit"] == -signal.SIGKILL
    assert report["load"]["completed"] >= 20
    assert report["ledger"]["acked"] >= 20
    assert report["ledger"]["acked_unsaved"] == 0


def test_a_target_without_the_probe_does_not_pass(tmp_path: Path) -> None:
    """3: that no block was counted proves nothing about a loop that nobody watched."""
    text = "import asyncio\nprint('ready', flush=True)\nasyncio.run(asyncio.sleep(0.1))\n"
    file = program(tmp_path, text, more='[expect]\n"blocks.count" = "== 0"')
    file.write_text(file.read_text().replace("'program.py'", "'-I', 'program.py'"))
    ended = harness("run", file, cwd=tmp_path)

    assert (ended.status, ended.report["run"]["outcome"]) == (3, "invalid")
    assert ended.report["run"]["verdict"].startswith("Invalid measurement: ")
    assert "(isolated mode)" in ended.report["run"]["verdict"]
    assert ended.report["expectations"][0]["value"] is None


def test_a_target_that_raised_is_shown_with_its_last_lines(tmp_path: Path) -> None:
    """4, the end of its traceback, and where the rest is: on the terminal, in Markdown, on the page."""
    text = "import asyncio\nprint('ready', flush=True)\nasync def main(): raise ValueError('boom')\n"
    ended = harness("run", program(tmp_path, f"{text}asyncio.run(main())\n"), cwd=tmp_path)

    assert (ended.status, ended.report["run"]["outcome"]) == (4, "crashed")
    assert ended.stdout.startswith("crashed The target died on its own with status 1: ")
    assert (
        "\n  ValueError: boom\n  all of its output: artefacts/target.log in the run's folder\n"
        in ended.stdout
    )
    target = ended.report["run"]["target"]
    assert (target["exit"], target["log"], target["last_lines"][-1]) == (
        *(1, "artefacts/target.log", "ValueError: boom"),
    )
    document = build(load(ended.folder))
    assert "- `ValueError: boom`" in render(document, "md")
    assert "ValueError: boom</pre>" in render(document, "html")


def test_a_target_that_is_told_to_end_by_others_is_named_as_such(loaded: Running) -> None:
    """SIGTERM of the target from outside: it drained, nothing that was acked is lost, and it was not us."""
    os.kill(loaded.wait_event(TargetStarted).pid, signal.SIGTERM)
    ended = loaded.ended()

    assert ended.status == 4
    assert loaded.all_gone()
    assert "the target ended on its own before the load was over, with status 0" in ended.stdout
    report = ended.report
    assert (report["run"]["outcome"], report["run"]["target"]["exit"]) == ("crashed", 0)
    assert [event.expected for event in loaded.events(TargetExited)] == [False]
    ledger = report["ledger"]
    assert (ledger["lost"], ledger["acked_unsaved"]) == (0, 0)
    # What the driver sent after the drain is still in the queue.
    assert ledger["acked"] + ledger["waiting"] == ledger["published"]


def test_a_killed_driver_makes_the_measurement_invalid(loaded: Running) -> None:
    """kill -9 of the load driver: the run ends in order with 3, and says whose record was cut off."""
    driver = loaded.pid_of("driver")
    os.kill(driver, signal.SIGKILL)
    ended = loaded.ended()

    assert ended.status == 3
    assert loaded.all_gone()
    assert "the load driver failed: it ended by SIGKILL" in ended.stdout
    assert f"the driver (process {driver}) was cut off" in ended.stdout
    report = ended.report
    assert (report["run"]["outcome"], report["run"]["target"]["exit"]) == ("invalid", 0)
    assert report["load"]["completed"] >= 20
    assert report["ledger"]["lost"] == 0


def test_nothing_outlives_a_killed_runner(tmp_path: Path) -> None:
    """kill -9 of the runner: target and driver end, and the record renders as a partial one."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with running("run", scenario(tmp_path), cwd=tmp_path, env={"TMPDIR": str(scratch)}) as loaded:
        loaded.wait_event(Completed, 20)
        assert list(scratch.iterdir())
        loaded.process.kill()
        loaded.process.wait()

        assert loaded.all_gone()
    assert list(scratch.iterdir()) == []
    assert "draining reason=SIGTERM" in (loaded.folder.artefacts / "target.log").read_text()
    command = [*COMMAND, "report", str(loaded.folder.path)]
    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert again.returncode == 3
    assert again.stdout.startswith("aborted Partial record (the runner was killed or is still running): ")
    assert "the runner (process " in again.stdout


def test_a_deaf_target_does_not_outlive_a_killed_runner(tmp_path: Path) -> None:
    """What ignores its stop signal is killed after its time, with its children."""
    file = program(tmp_path, DEAF, "parent", more="stop_within_s = 0.5")
    with running("run", file, cwd=tmp_path) as run:
        run.wait_event(TargetReady)
        wait(lambda: sum("program.py" in command for command in run.processes().values()) == 2)
        run.process.kill()
        run.process.wait()

        assert run.all_gone()


def test_children_that_a_target_leaves_behind_are_ended(tmp_path: Path) -> None:
    """The next run finds ports and files free, although the target itself ended well."""
    text = DEAF.replace("    await asyncio.sleep(300)", "    await asyncio.sleep(0 if sys.argv[1:] else 300)")
    ended = harness("run", program(tmp_path, text, "parent"), cwd=tmp_path)

    assert (ended.status, ended.report["run"]["target"]["exit"]) == (0, 0)


def test_a_target_that_does_not_get_ready_did_not_start(tmp_path: Path) -> None:
    """Exit status 4, with its status and its last line."""
    ended = harness("run", program(tmp_path, "print('no database'); raise SystemExit(0)"), cwd=tmp_path)

    assert (ended.status, ended.report["run"]["outcome"]) == (4, "crashed")
    why = "the target did not start: it ended with status 0; its last line: no database"
    assert why in ended.stdout


@pytest.mark.long
def test_a_target_may_be_ready_after_some_time(tmp_path: Path) -> None:
    """Counted from its start, and not before; one that ends in the meantime was never ready."""
    command = f"[target]\nkind = 'program'\ncommand = ['{sys.executable}', 'program.py']\n"
    (tmp_path / "program.py").write_text("import asyncio; asyncio.run(asyncio.sleep(1))")
    file = scenario(tmp_path, f"{command}ready = {{ after_s = 0.4 }}\n")
    in_time = harness("run", file, cwd=tmp_path)
    too_late = harness("run", file, "--set", "target.ready.after_s=20", cwd=tmp_path, out="again")
    (began,) = recorded(in_time.folder.events, TargetStarted)
    (ready,) = recorded(in_time.folder.events, TargetReady)

    assert (in_time.status, too_late.status) == (0, 4)
    assert ready.at_ns - began.at_ns >= 0.35e9
    assert not recorded(too_late.folder.events, TargetReady)


@pytest.mark.long
def test_a_program_without_load_ends_when_it_wants(tmp_path: Path) -> None:
    """Without load the program's own good end is the end of the run; its block fails what is expected."""
    text = "import asyncio, time\nasync def main(): print('ready'); time.sleep(0.3)\nasyncio.run(main())"
    file = program(tmp_path, text, more='[expect]\n"blocks.max_held_ms" = "< 1000"')
    passed = harness("run", file, cwd=tmp_path)
    change = 'expect."blocks.max_held_ms"="< 100"'
    failed = harness("run", file, "--set", change, cwd=tmp_path, out="again")

    assert (passed.status, passed.report["run"]["outcome"]) == (0, "passed")
    assert (failed.status, failed.report["run"]["outcome"]) == (1, "failed")
    assert "✗  blocks.max_held_ms < 100 ms: " in failed.stdout
