"""A process that gets no processor is told from a program that blocks, and why is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.drive.process.cgroup import is_frozen, is_stopped, throttled_ns
from harness.record.event import TargetStarted
from tests.support.commanded import COMMAND, wait
from tests.support.process import Heard, Piped
from tests.support.recorded import recorded

PROGRAM = """
import asyncio

async def main():
    print("ready", flush=True)
    for _ in range(200):
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


def test_a_stopped_process_is_said_to_have_been_stopped(tmp_path: Path) -> None:
    """SIGSTOP for most of a second: the loop was due, and the report blames nobody's code."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "harness", "watch", "--out", str(tmp_path / "run"), "--"]
    watching = Heard(
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


# Computes 30 ms at a time, which is less than the limit of 50.
WORKER = """
import asyncio, os, sys, time

with open(sys.argv[1], "w") as group:
    group.write(str(os.getpid()))

def work():
    end = time.thread_time() + 0.03
    while time.thread_time() < end:
        pass

async def main():
    for _ in range(8):
        work()
        await asyncio.sleep(0.05)

asyncio.run(main())
"""


@pytest.fixture
def tight_group() -> Iterator[Path]:
    """A cgroup of its own that may use 15 ms of every 100, as the kernel of this machine offers it."""
    name = f"harness:test-{os.getpid()}"  # container runtimes use colons, too
    version_1, version_2 = Path("/sys/fs/cgroup/cpu", name), Path("/sys/fs/cgroup", name)
    group = version_1 if version_1.parent.exists() else version_2
    try:
        group.mkdir()
    except OSError as exc:
        pytest.skip(f"no cgroup can be made here: {exc}")
    try:
        if group == version_1:
            (group / "cpu.cfs_period_us").write_text("100000")
            (group / "cpu.cfs_quota_us").write_text("15000")
        elif (group / "cpu.max").exists():
            (group / "cpu.max").write_text("15000 100000")
        else:
            pytest.skip("no cgroup can be made here: the cpu controller is not handed down")
        yield group
    finally:
        group.rmdir()


def test_a_throttled_process_is_said_to_be_throttled(tight_group: Path, tmp_path: Path) -> None:
    """Its cgroup's limit makes short turns long: a report names the limit, and not the code."""
    program = tmp_path / "program.py"
    program.write_text(WORKER)
    command = [sys.executable, "-m", "harness", "watch", "--out", str(tmp_path / "run"), "--block-ms", "50"]
    procs = str(tight_group / "cgroup.procs")
    ended = subprocess.run(
        [*command, "--", sys.executable, str(program), procs], check=True, capture_output=True, text=True
    )

    report = json.loads((tmp_path / "run" / "report.json").read_text())
    causes = Counter((block["cause"], block["leaf"]) for block in report["blocks"])
    assert causes["descheduled", "throttled by its cgroup"] >= 4
    assert {cause for cause, _ in causes} == {"descheduled"}
    assert "the process was throttled by its cgroup in work" in ended.stderr


# In one turn it uses more processor time than its group has in a second; or it hangs, without using any.
ONE_TURN = """
import asyncio, os, sys, time

def compute():
    end = time.thread_time() + 0.25
    while time.thread_time() < end:
        pass

def hang():
    time.sleep(60)

async def main():
    await asyncio.sleep(0.1)
    with open(sys.argv[1], "w") as group:
        group.write(str(os.getpid()))
    globals()[sys.argv[2]]()
    print("went on")

asyncio.run(main())
"""


@pytest.mark.long
@pytest.mark.parametrize("what", ["compute", "hang"])
def test_a_throttled_process_is_ended_only_if_it_hangs(tight_group: Path, tmp_path: Path, what: str) -> None:
    """`--hang-exit` counts the time in which the process could run, and no other."""
    program = tmp_path / "program.py"
    program.write_text(ONE_TURN)
    command = [*COMMAND, "watch", "--out", str(tmp_path / "run"), "--hang-exit", "1", "--quiet"]
    procs = str(tight_group / "cgroup.procs")
    ended = subprocess.run(
        [*command, "--", sys.executable, str(program), procs, what], capture_output=True, text=True
    )

    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert max(block["held_ms"] for block in report["blocks"]) > 1000
    assert ended.returncode == (0 if what == "compute" else -signal.SIGABRT), ended.stderr
    assert ("went on" in ended.stdout) == (what == "compute")


@pytest.fixture(params=["version 1", "version 2"])
def freezer(request: pytest.FixtureRequest) -> Iterator[tuple[Path, str, str]]:
    """A cgroup that can be frozen: the file to write to, and the words that freeze and thaw."""
    name, top = f"harness-test-{os.getpid()}", Path("/sys/fs/cgroup")
    if request.param == "version 1":
        file, words = top / "freezer" / name / "freezer.state", ("FROZEN", "THAWED")
    else:
        unified = top / "unified"
        file, words = (unified if unified.is_dir() else top) / name / "cgroup.freeze", ("1", "0")
    try:
        file.parent.mkdir()
    except OSError as exc:
        pytest.skip(f"no cgroup can be made here: {exc}")
    try:
        if not file.exists():
            pytest.skip("no cgroup can be frozen here")
        yield file, *words
    finally:
        wait(lambda: not (file.parent / "cgroup.procs").read_text())
        file.parent.rmdir()


READS = """
import asyncio, sys

async def main():
    await asyncio.sleep(0.1)
    print("ready", flush=True)
    while not ready.done():
        await asyncio.sleep(0.01)

async def run():
    global ready
    ready = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await main()

asyncio.run(run())
"""


def test_a_frozen_process_does_not_hang(freezer: tuple[Path, str, str], tmp_path: Path) -> None:
    """As `docker pause` does it: no line is said, the process is not ended, and the report says why."""
    file, freeze, thaw = freezer
    program = tmp_path / "program.py"
    program.write_text(READS)
    limits = ("--hang-ms", "500", "--hang-exit", "1", "--quiet")
    command = [*COMMAND, "watch", "--out", str(tmp_path / "run"), *limits, "--"]
    with Piped(
        [*command, sys.executable, str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout.readline() == "ready\n"
        pid = recorded(tmp_path / "run" / "events", TargetStarted)[0].pid
        (file.parent / "cgroup.procs").write_text(str(pid))
        before = is_frozen(pid)
        file.write_text(freeze)
        try:
            wait(lambda: is_frozen(pid))
            # How long it is frozen: longer than after which it would be ended.
            subprocess.run(["sleep", "1.6"], check=True)
        finally:
            file.write_text(thaw)
        _, stderr = watching.communicate("go on\n", timeout=60)

    assert (before, watching.returncode) == (False, 0), stderr
    assert "hang" not in stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    blocks = [block for block in report["blocks"] if block["held_ms"] > 500]
    assert [(block["cause"], block["leaf"]) for block in blocks] == [("descheduled", "frozen by its cgroup")]


def test_the_time_without_a_processor_is_that_of_the_process_s_own_group(tight_group: Path) -> None:
    """It grows for a process in a group with a limit, as the kernel counts it."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            (tight_group / "cgroup.procs").write_text(str(process.pid))
            before_ns = throttled_ns(process.pid)
            wait(lambda: throttled_ns(process.pid) > before_ns)
            least_ns = _counted_ns(tight_group)
            told_ns = throttled_ns(process.pid)
            most_ns = _counted_ns(tight_group)
        finally:
            process.kill()

    assert least_ns <= told_ns <= most_ns


def _counted_ns(group: Path) -> int:
    counted = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(counted.get("throttled_time", 0)) or int(counted["throttled_usec"]) * 1000


def test_a_running_process_is_not_stopped() -> None:
    """The negative control, and a process that is gone."""
    assert not is_stopped(os.getpid())
    assert not is_frozen(os.getpid())
    assert not is_stopped(2**22 + 1)
    assert throttled_ns(2**22 + 1) == 0
