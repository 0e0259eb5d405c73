"""How fast the console answers in a service of many tasks, and how late the answer makes the service."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from harness.record.probe_config import ConsoleConfig
from harness.record.process import console_endpoint

from . import probed

CROWD = Path(__file__).parent / "workloads" / "crowd.py"
FEW, MANY = 100, 10_000
# A loop that mostly waits, and one that is near its end.
CALM, BUSY = 2_000, 12_000
COMMANDS = ("status", "ps", "top", "tree", "locks")
# Each side is a process of some seconds.
PAIRS = 5
ASKED_S = 2.0


@pytest.fixture
def python(request):
    return request.config.getoption("--target-python")


@pytest.fixture
def crowd(python, tmp_path, monkeypatch):
    """Makes a side: a crowd of so many tasks that is asked, or not, all the time."""
    # Not below `tmp_path`: a socket's path has to be short.
    with tempfile.TemporaryDirectory(prefix="h-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield _sides(python, tmp_path)


def _sides(python, tmp_path):
    def crowd(tasks, steps_per_s, *commands):
        def run():
            inside = probed.environment(tmp_path / f"run-{time.monotonic_ns()}", console=ConsoleConfig())
            command = [python, *map(str, (CROWD, tasks, steps_per_s, ASKED_S))]
            with subprocess.Popen(
                command, env=inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout.readline() == "ready\n"
                took_ms = _ask(_socket_of(process.pid), commands) if commands else []
                lag = json.loads(process.stdout.readline())
                process.stdin.close()
                return {**lag, **({"answer_p50_ms": _median(took_ms)} if took_ms else {})}

        return run

    return crowd


@pytest.mark.parametrize("command", COMMANDS)
def test_answer(compare, crowd, command):
    """The time to an answer, and the lag meanwhile: of 10,000 tasks against 100."""
    compare(command, f"{MANY} tasks", crowd(FEW, CALM, command), crowd(MANY, CALM, command), pairs=PAIRS)


@pytest.mark.parametrize("steps_per_s", [CALM, BUSY])
@pytest.mark.parametrize("command", ["status", "top"])
def test_lag(compare, crowd, command, steps_per_s):
    """How late the loop of 10,000 tasks is while it is asked again and again, against being left alone."""
    base, head = crowd(MANY, steps_per_s), crowd(MANY, steps_per_s, command)

    compare(f"lag at {steps_per_s} steps per s", f"{command}, asked all the time", base, head, pairs=PAIRS)


def _ask(path, commands):
    """Ask until shortly before the program's end; how long each answer took."""
    took_ms = []
    until = time.monotonic() + ASKED_S - 0.5
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(20)
        channel.connect(path)
        with channel.makefile("rwb") as stream:
            while time.monotonic() < until:
                for command in commands:
                    began = time.perf_counter()
                    stream.write(json.dumps({"line": command}).encode() + b"\n")
                    stream.flush()
                    answer = json.loads(stream.readline())
                    took_ms.append((time.perf_counter() - began) * 1e3)
                    assert answer["ok"], answer
    return took_ms


def _socket_of(pid):
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for _, found in console_endpoint.endpoints():
            if found.pid == pid:
                return found.socket
        time.sleep(0.02)
    raise TimeoutError("no console")


def _median(values):
    return sorted(values)[len(values) // 2]
