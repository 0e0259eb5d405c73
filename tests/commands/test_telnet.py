"""`--console`: the console of a running service, over a real telnet on a terminal."""

import os
import re
import shutil
import signal
import socket
import sys

import pytest
from commanded import Terminal, harness, running, scenario

from harness.record.event import TargetReady

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("telnet") is None, reason="telnet is not installed"),
]

SERVICE = """
import asyncio
async def main():
    waiting = [asyncio.create_task(asyncio.sleep(60), name=f"waiting-{n}") for n in range(3)]
    print("ready", flush=True)
    await asyncio.wait(waiting)
asyncio.run(main())
"""


@pytest.fixture
def service(tmp_path):
    """A program with three tasks that wait."""
    (tmp_path / "service.py").write_text(SERVICE)
    return [sys.executable, "service.py"]


def free_port():
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


def look_around(address, tmp_path):
    """Connect, list the tasks, look at one of them, and leave."""
    terminal = Terminal(address.split(), cwd=tmp_path)
    terminal.wait_for("tasks running")
    terminal.type("ps\r")
    terminal.wait_for("waiting-2")
    terminal.wait_for("Task-1")
    task_id = re.search(r"(\d+) .* waiting-1", terminal.shown)
    assert task_id, terminal.shown
    terminal.type(f"where {task_id[1]}\r")
    terminal.wait_for("await")
    terminal.type("help\r")
    terminal.wait_for("stacktrace")
    terminal.type("exit\r")
    terminal.ended()
    assert "Connection closed by foreign host." in terminal.shown


def test_the_console_of_a_run(tmp_path, service):
    """The address is told once, telnet gets a prompt and sees the tasks, and the port closes with the run."""
    file = scenario(
        tmp_path, f'[target]\nkind = "program"\ncommand = {service}\nready = {{ log = "ready" }}\n'
    )
    port = free_port()
    with running("run", file, "--console-port", port, cwd=tmp_path) as run:
        run.wait_event(TargetReady)
        told = next(line for line in run.process.stderr if line.startswith("console: "))
        assert told == f"console: telnet 127.0.0.1 {port}\n"
        look_around(told.removeprefix("console: "), tmp_path)
        run.process.send_signal(signal.SIGINT)
        ended = run.ended()

    assert ended.status == 130
    assert "console: " not in ended.stderr
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_the_console_of_a_watched_program(tmp_path, service):
    """On any free port; the address comes on stderr when it is up."""
    with running("watch", "--console", "--", *service, cwd=tmp_path) as run:
        told = next(line for line in run.process.stderr if line.startswith("console: "))
        look_around(told.removeprefix("console: "), tmp_path)
        run.process.terminate()
        ended = run.ended()

    assert ended.status == -signal.SIGTERM


def test_why_there_is_no_console_is_told(tmp_path):
    """A program that lacks aiomonitor goes on, and one line says so."""
    (tmp_path / "aiomonitor.py").write_text("raise ImportError('not in this environment')")
    text = "import asyncio; asyncio.run(asyncio.sleep(1.5))"
    (tmp_path / "program.py").write_text(text)
    ended = harness("watch", "--console", "--", sys.executable, "program.py", cwd=tmp_path)

    assert ended.status == 0
    assert "console: there is none: ImportError: not in this environment" in ended.stderr
    assert ended.stderr.count("console: ") == 1
    assert os.listdir(tmp_path / "run" / "events")
