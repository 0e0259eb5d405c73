"""`harness attach PID` to a program that nobody prepared: it is entered, answers, and is left as it was."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.support.commanded import wait
from tests.support.entered import WAYS, Attached, attach, remnants, unprepared


@pytest.mark.parametrize(
    "way",
    [pytest.param(way, marks=pytest.mark.long if way == "uvloop in a thread" else []) for way in WAYS],
)
def test_it_names_the_line_and_leaves_nothing(tmp_path: Path, way: str) -> None:
    """A block is named while attached, whatever runs the loop; afterwards the program is as it was before.

    While attached, functions of asyncio are replaced and threads run; a child forked then has none of it.
    """
    with unprepared(tmp_path, way=way) as program:
        before = program.state()
        attached = Attached(program.pid, cwd=tmp_path)
        status = attached.ask("status --json")
        program.do("hold(0.3)")
        rows = wait(
            lambda: [
                row
                for row in attached.ask("blocks --json")["rows"]
                if row["ended"] and row["function"] == "hold"
            ]
        )
        during = program.state()
        program.do("fork()" if way == "asyncio" else "print('null', flush=True)")
        child = json.loads(program.process.stdout.readline())
        ended = attached.leave()

        assert ended == (0, "")
        assert program.becomes(before)
    assert status["pid"] == program.pid
    assert rows[0]["where"] == f"program.py:{program.line_of('holds')}"
    assert during["modules"]
    assert during["threads"] > before["threads"]
    assert during["known"] == before["known"]
    if child is not None:
        assert child == [before["functions"], len(before["descriptors"])]
    assert remnants(tmp_path) == []


def test_an_attach_that_is_killed_takes_its_probe_along(tmp_path: Path) -> None:
    """`kill -9` of the attaching process, at any moment, leaves the program as it was."""
    with unprepared(tmp_path) as program:
        before = program.state()
        for after_s in (0.4, 0.8, 1.6):  # any moment will do: none of them may leave anything
            attached = Attached(program.pid, cwd=tmp_path)
            time.sleep(after_s)
            attached.process.send_signal(signal.SIGKILL)
            attached.process.communicate()

            assert program.becomes(before)
            wait(lambda: not remnants(tmp_path))


def test_a_second_one_finds_the_console(tmp_path: Path) -> None:
    """While one is attached, another attaches to the same console, and a recording is refused."""
    with unprepared(tmp_path, environ={"XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"]}) as program:
        first = Attached(program.pid, cwd=tmp_path)
        first.ask("status --json")
        second = attach(program.pid, "-c", "status --json", cwd=tmp_path)
        third = attach(program.pid, "--for", "1s", cwd=tmp_path)
        assert first.leave() == (0, "")

    assert json.loads(second.stdout)["pid"] == program.pid
    assert third.returncode == 2
    assert f"{program.pid}: this process is watched already, without a record" in third.stderr


# Its thread is in a call of C until it gets a line, twice.
HELD = """
    import asyncio, os, sys

    def wait_in_c():
        os.read(0, 100)  # waits

    async def main():
        print("ready", flush=True)
        for _ in range(2):
            await asyncio.sleep(0.1)
            wait_in_c()
            print("over", [name for name in sys.modules if "harness" in name], flush=True)
        await asyncio.sleep(60)

    RUN
"""


def test_it_answers_telnet_and_is_gone_with_another_program(tmp_path: Path) -> None:
    """With a port, the token is told, and admits a client; `exec` ends the probe with the program."""
    with unprepared(tmp_path) as program:
        attached = Attached(program.pid, "--console-port", "0", cwd=tmp_path)
        told = re.search(r"telnet 127\.0\.0\.1 (\d+) and the token (\w+)", attached.process.stderr.readline())
        assert told is not None
        with socket.create_connection(("127.0.0.1", int(told[1])), timeout=20) as client:
            client.sendall(f"{told[2]}\nstatus --json\n".encode())
            answer = json.loads(client.makefile().readline())
        program.do("os.execv(sys.executable, [sys.executable, '-c', 'print(1, flush=True); input()'])")
        replaced = program.process.stdout.readline()
        ended = attached.leave()

    assert answer["pid"] == program.pid
    assert (replaced, ended) == ("1\n", (0, ""))
    assert remnants(tmp_path) == []


def test_a_loop_that_is_held_is_entered_when_it_comes_back(tmp_path: Path) -> None:
    """While a call in C holds the thread, its line is seen from outside; then the process is entered.

    Giving up takes the request back: when the program executes Python again, nothing happens.
    """
    with unprepared(tmp_path, program=HELD) as program:
        in_c = Path(f"/proc/{program.pid}/wchan")
        wait(lambda: "read" in in_c.read_text())
        given_up = attach(program.pid, "--wait", "0.5", cwd=tmp_path)
        left = remnants(tmp_path)
        program.do("go on")
        unentered = program.process.stdout.readline()
        wait(lambda: "read" in in_c.read_text())
        attached = Attached(program.pid, "-c", "status --json", cwd=tmp_path)
        said = [attached.process.stderr.readline() for _ in range(2)]
        program.do("go on")
        answer, _ = attached.process.communicate(timeout=60)

    assert given_up.returncode == 4
    assert f"process {program.pid} has executed no Python for 0.5 s" in given_up.stderr
    assert f"harness attach {program.pid} --sample 10" in given_up.stderr
    assert (unentered, left) == ("over []\n", [])
    assert said[0] == f"process {program.pid} executes no Python that can be interrupted; waiting for it\n"
    assert said[1] == f"MainThread is in {tmp_path}/program.py:{program.line_of('waits')} wait_in_c\n"
    assert json.loads(answer)["pid"] == program.pid
    assert attached.process.returncode == 0


def test_what_goes_wrong_inside_is_told(tmp_path: Path) -> None:
    """An error of the probe in the process comes home with its place, and nothing stays."""
    from harness.drive.attach.entry import Entry
    from harness.drive.attach.subject import Subject
    from harness.errors import TargetError
    from harness.record.probe_config import ProbeConfig

    with unprepared(tmp_path) as program:
        before = program.state()
        config = ProbeConfig(str(tmp_path / "no such folder"), 100_000_000)
        with (
            pytest.raises(
                TargetError, match=r"the probe could not enter: FileNotFoundError: .*no such folder"
            ),
            Entry(Subject.of(program.pid), config, wait_s=20),
        ):
            pass

        assert program.becomes(before)
    assert remnants(tmp_path) == []
