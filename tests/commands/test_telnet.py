"""`--console-port`: the console of a running service, over a real telnet on a terminal."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest

from harness.record.event import ConsoleCounted, TargetReady
from tests.support.commanded import Terminal, running, scenario, wait
from tests.support.port import free_port

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
def service(tmp_path: Path) -> list[str]:
    """A program with three tasks that wait."""
    (tmp_path / "service.py").write_text(SERVICE)
    return [sys.executable, "service.py"]


def look_around(told: str, tmp_path: Path) -> None:
    """Connect as the line that was told says, list the tasks, look at one of them, and leave."""
    found = re.fullmatch(r"console: harness attach \d+, or (telnet [0-9.]+ \d+) and the token (\w+)\n", told)
    assert found, told
    terminal = Terminal(found[1].split(), cwd=tmp_path, columns=200)
    terminal.wait_for("token: ")
    terminal.type(f"{found[2]}\r")
    terminal.wait_for("reads only. help lists the commands.")
    terminal.type("ps\r")
    terminal.wait_for("waiting-2")
    terminal.type("where waiting-1\r")
    terminal.wait_for("asyncio/tasks.py")
    terminal.type("cancel waiting-1\r")
    terminal.wait_for("not allowed here")
    terminal.type("quit\r")
    terminal.ended()
    assert "Connection closed by foreign host." in terminal.shown


def test_the_console_of_a_run(tmp_path: Path, service: list[str]) -> None:
    """The address is told once, the port closes with the run, and the report tells of what was done."""
    file = scenario(
        tmp_path, f'[target]\nkind = "program"\ncommand = {service}\nready = {{ log = "ready" }}\n'
    )
    port = free_port()
    with running("run", file, "--console-port", port, cwd=tmp_path) as run:
        run.wait_event(TargetReady)
        told = next(line for line in run.process.stderr if line.startswith("console: "))
        assert f"telnet 127.0.0.1 {port} " in told
        look_around(told, tmp_path)
        # What is counted in the last moments before a signal is lost with the process.
        wait(lambda: [e for e in run.events(ConsoleCounted) if len(e.commands) == 3])
        run.process.send_signal(signal.SIGINT)
        ended = run.ended()

    assert ended.status == 130
    assert "console: " not in ended.stderr
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    console = ended.report["console"]
    assert (console["connections"], console["refused"]) == (1, 0)
    assert console["commands"] == {"ps": 1, "where": 1, "cancel": 1}
    assert [(seen["line"], seen["outcome"]) for seen in console["audited"]] == [
        ("", "connected"),
        ("cancel waiting-1", "not allowed here: the console was opened without --allow cancel"),
    ]
    page = (ended.folder.path / "report.html").read_text()
    assert '<h2 id="console">Console</h2>' in page
    assert "cancel waiting-1" in page
    # The token of a console is not for those who may read a record.
    token = told.split()[-1]
    assert not any(token in path.read_text(errors="replace") for path in ended.folder.path.rglob("*.*"))


def test_the_console_of_a_watched_program(tmp_path: Path, service: list[str]) -> None:
    """On any free port; the address comes on stderr when it is up."""
    with running("watch", "--console-port", 0, "--", *service, cwd=tmp_path) as run:
        told = next(line for line in run.process.stderr if line.startswith("console: "))
        look_around(told, tmp_path)
        run.process.terminate()
        ended = run.ended()

    assert ended.status == -signal.SIGTERM


def test_no_console_unless_asked_for(tmp_path: Path, service: list[str]) -> None:
    """Nothing of it is loaded, and the report has no such section."""
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, sys; asyncio.run(asyncio.sleep(0.1))\n"
        "print([name for name in sys.modules if '.console' in name])"
    )
    with running("watch", "--", sys.executable, "program.py", cwd=tmp_path) as run:
        ended = run.ended()

    assert ended.stdout == "[]\n"
    assert ended.report["console"] is None
    assert 'id="console"' not in (ended.folder.path / "report.html").read_text()
