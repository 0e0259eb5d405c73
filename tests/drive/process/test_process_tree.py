"""The processes of a run, as the runner follows them from outside."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.drive.process import proc
from harness.drive.process.probe_env import environment
from harness.drive.process.process_tree import ProcessTree
from harness.record.event import Event, ProcessExamined, ProcessFound, ProcessGone
from harness.record.probe_config import ProbeConfig
from harness.record.run_folder import RunFolder
from tests.support.commanded import wait
from tests.support.recorded import of_kind
from tests.support.watched import run_folder


class Seen(list[Event]):
    """What a tree wrote."""

    def found(self, *command: str) -> ProcessFound:
        """The first process with this command: its children have it as well, until they call `exec`."""
        return wait(lambda: [e for e in of_kind(self, ProcessFound) if e.command == command])[0]

    def gone(self, found: ProcessFound) -> ProcessGone:
        """Its end."""
        who = (found.pid, found.began_ns)
        return wait(lambda: [e for e in of_kind(self, ProcessGone) if (e.pid, e.began_ns) == who])[0]


@pytest.fixture
def seen() -> Seen:
    return Seen()


FAMILY = "sh -c 'sleep 0.31; exit 7'; sleep 60 & wait"


def test_every_process_is_known_with_its_parent_and_its_end(tmp_path: Path, seen: Seen) -> None:
    """A shell, its child, and a grandchild that is killed, though none of them is a child of the runner's."""
    with ProcessTree(RunFolder(tmp_path), seen.append) as tree:
        shell = subprocess.Popen(["sh", "-c", FAMILY])
        tree.follow(shell.pid)
        middle, leaf = seen.found("sh", "-c", "sleep 0.31; exit 7"), seen.found("sleep", "60")
        os.kill(leaf.pid, signal.SIGKILL)
        before_ns = time.monotonic_ns()
        shell.wait()
        # Not by its command: its children have the same until they become another program.
        first = wait(lambda: [e for e in of_kind(seen, ProcessFound) if e.pid == shell.pid])[-1]
        ends = [seen.gone(each) for each in (middle, leaf, first)]

    assert (middle.parent, leaf.parent, first.parent) == (shell.pid, shell.pid, os.getpid())
    assert ends[0].status == 7
    assert [end.status for end in ends[1:]] == [-signal.SIGKILL, 0]
    assert abs(ends[1].at_ns - before_ns) < 2e9
    assert first.began_ns <= middle.began_ns <= leaf.began_ns <= leaf.at_ns
    # By its clock, and not by that of the machine's start.
    assert abs(first.began_ns - first.at_ns) < 10e9


def test_a_process_that_nobody_has_asked_for_its_end_is_not_found_again(tmp_path: Path, seen: Seen) -> None:
    """It still stands in the kernel's list, without a command."""
    forgetful = "import subprocess, sys; subprocess.Popen(['sleep', '0.32']); sys.stdin.read()"
    with ProcessTree(RunFolder(tmp_path), seen.append) as tree:
        parent = subprocess.Popen([sys.executable, "-c", forgetful], stdin=subprocess.PIPE)
        tree.follow(parent.pid)
        child = seen.found("sleep", "0.32")
        seen.gone(child)
        at_the_end = proc.stat(child.pid)
        tree.follow(parent.pid)  # looks for children once more
        parent.communicate(b"")

    assert at_the_end is not None
    assert at_the_end.state == "Z"
    assert [end.pid for end in of_kind(seen, ProcessGone)].count(child.pid) == 1
    assert [each for each in of_kind(seen, ProcessFound) if each.pid == child.pid][-1] == child


DAEMONS = {
    "double fork": "if os.fork() == 0:\n os.setsid()\n if os.fork() == 0: os.execv(*SLEEP)\n os._exit(0)",
    "double fork, clean environment": (
        "if os.fork() == 0:\n os.setsid()\n if os.fork() == 0: os.execve(*SLEEP, {})\n os._exit(0)"
    ),
    "a session of its own only later": (
        "if os.fork() == 0:\n if os.fork() == 0:\n"
        "  time.sleep(0.2); os.setsid(); os.execve(*SLEEP, {})\n os._exit(0)"
    ),
    "setsid -f": "os.spawnve(os.P_WAIT, '/usr/bin/setsid', ['setsid', '-f', *SLEEP[1]], {})",
}


@pytest.mark.parametrize("way", DAEMONS)
def test_a_daemon_that_left_the_tree_is_followed(way: str, tmp_path: Path, seen: Seen) -> None:
    """Its parents have ended before the runner looked, it has a session of its own, and outlives the rest."""
    program = f"import os, time\nSLEEP = '/bin/sleep', ['sleep', '61']\n{DAEMONS[way]}\n"
    with ProcessTree(RunFolder(tmp_path), seen.append) as tree:
        program_process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
        tree.follow(program_process.pid)
        try:
            assert program_process.wait() == 0
        finally:
            daemon = seen.found("sleep", "61")
            os.kill(daemon.pid, signal.SIGTERM)

        assert seen.gone(daemon).pid == daemon.pid
        assert (now := proc.stat(os.getpid())) is not None
        assert now.session != daemon.pid


def test_what_ends_a_little_later_than_the_run_has_its_end_in_the_record(tmp_path: Path, seen: Seen) -> None:
    """A child that outlives its parent for a moment is seen off."""
    program = subprocess.Popen(["sh", "-c", "read line; exit 3"], stdin=subprocess.PIPE)
    with ProcessTree(RunFolder(tmp_path), seen.append) as tree:
        tree.follow(program.pid)
        end = threading.Timer(0.2, program.communicate)  # after the block has been left
        end.start()
    end.join()

    assert [e.pid for e in of_kind(seen, ProcessGone)] == [program.pid]


def test_strangers_are_left_out(tmp_path: Path, seen: Seen) -> None:
    """What another program starts at the same time is not the run's."""
    with ProcessTree(RunFolder(tmp_path), seen.append) as tree:
        program = subprocess.Popen(["sh", "-c", "sleep 0.32; sleep 0.33"])
        tree.follow(program.pid)
        stranger = subprocess.Popen(["sleep", "0.1"], start_new_session=True)
        stranger.wait()
        program.wait()

    assert stranger.pid not in {e.pid for e in of_kind(seen, ProcessFound)}
    assert seen.found("sleep", "0.33").parent == program.pid


def test_a_program_replaced_by_exec_is_found_again(tmp_path: Path, seen: Seen) -> None:
    """The pid and the start stay, the command is the new one."""
    with ProcessTree(RunFolder(tmp_path), seen.append) as tree:
        program = subprocess.Popen(["sh", "-c", "sleep 0.3; exec sleep 0.4"])
        tree.follow(program.pid)
        first, second = seen.found("sh", "-c", "sleep 0.3; exec sleep 0.4"), seen.found("sleep", "0.4")
        program.wait()
        gone = seen.gone(second)

    assert (first.pid, first.began_ns) == (second.pid, second.began_ns) == (gone.pid, gone.began_ns)


@pytest.mark.parametrize("of", ["a shell", "a Python with the probe"])
def test_a_short_program_is_found_though_its_process_is_old(of: str, tmp_path: Path, seen: Seen) -> None:
    """After seconds of quiet a process calls `exec`, and the new program lives for a few looks only."""
    folder = run_folder(tmp_path / "run")
    env = environment(ProbeConfig(folder=str(folder.path), limit_ns=10**9), os.environ)
    isolated = [sys.executable, "-I", "-c", "import time; time.sleep(0.2)"]
    script = f"import os, time; time.sleep(1.5); os.execv({sys.executable!r}, {isolated})"
    lines = {
        "a shell": ["sh", "-c", f"sleep 1.5; exec {shlex.join(isolated)}"],
        "a Python with the probe": [sys.executable, "-c", script],
    }
    with ProcessTree(folder, seen.append) as tree:
        program = subprocess.Popen(lines[of], env=env)
        tree.follow(program.pid)
        assert program.wait() == 0
        found = seen.found(*isolated)
        gone = seen.gone(found)

    assert found.pid == program.pid
    assert found.since_ns < found.at_ns < gone.at_ns
    assert [e.order for e in of_kind(seen, ProcessExamined)][-1] == "here"


def test_a_status_is_known_though_the_parent_has_reaped_its_child(tmp_path: Path) -> None:
    """Linux 6.15 keeps it for the holder of a descriptor of the process; before, it is unknown and not 0."""
    child = subprocess.Popen(["sh", "-c", "exit 5"])
    pidfd = os.pidfd_open(child.pid)
    child.wait()
    try:
        told = proc.returncode(pidfd, child.pid, uid=os.geteuid())
    finally:
        os.close(pidfd)

    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    assert told == (5 if release >= (6, 15) else None)
