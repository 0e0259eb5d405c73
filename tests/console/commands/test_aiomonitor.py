"""`aiomonitor LINE` runs aiomonitor's commands, without opening any port."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.record.event import LoopStarted, ProbeFailed
from tests.support.consoled import Consoled, consoled, is_alive

PROGRAM = """
    import asyncio, sys

    if HAS_AIOMONITOR:
        import aiomonitor, click
        from aiomonitor.termui.commands import (
            auto_async_command_done, auto_command_done, custom_help_option, print_ok
        )

        @aiomonitor.monitor_cli.command(name="stock")
        @click.argument("what")
        @custom_help_option
        @auto_command_done
        def stock(ctx, what):
            click.echo(f"{what}: {getattr(ctx.obj, 'stock', 'none')}")

        @aiomonitor.monitor_cli.command(name="wait")
        def wait(ctx):
            @auto_async_command_done
            async def work(ctx):
                await asyncio.sleep(0.05)
                print_ok("waited")

            ctx.obj._termui_tasks.add(ctx.obj._ui_loop.create_task(work(ctx)))

        @aiomonitor.monitor_cli.command(name="fail")
        @auto_command_done
        def fail(ctx):
            raise ValueError("out of order")

        @aiomonitor.monitor_cli.command(name="hang")
        @auto_command_done
        def hang(ctx):
            asyncio.get_running_loop().create_task(asyncio.sleep(3600))

    async def patient():
        await asyncio.sleep(3600)

    async def main():
        task = asyncio.create_task(patient(), name="patient")
        STARTS_ITS_OWN
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            exec(line, globals())

    RUN
"""
ITS_OWN = """
        import socket
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
            ports = [server.getsockname()[1] for server in (one, other)]
        class Monitor(aiomonitor.Monitor):
            stock = 7
        own = aiomonitor.start_monitor(asyncio.get_running_loop(), monitor_cls=Monitor, port=ports[0],
                                       webui_port=ports[1], console_enabled=False)
"""


def program(*, has_aiomonitor: bool = True, its_own: str = "") -> str:
    text = PROGRAM.replace("HAS_AIOMONITOR", str(has_aiomonitor))
    return text.replace("        STARTS_ITS_OWN\n", its_own.lstrip("\n"))


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, runtime_of_module: None
) -> Iterator[Consoled]:
    pytest.importorskip("aiomonitor")
    folder = tmp_path_factory.mktemp("service")
    with consoled(folder, program=program(), loop=request.param, allow=("cancel",)) as running:
        yield running
        assert running.events(ProbeFailed) == []
        # The loop that runs aiomonitor's commands is not taken for one of the program's.
        assert [event.loop for event in running.events(LoopStarted)] == [0]


def test_its_own_commands_work(service: Consoled) -> None:
    """aiomonitor's commands see the program's tasks, by aiomonitor's own ids."""
    table = service.ask("aiomonitor ps")
    assert "patient" in table
    assert "PENDING" in table
    assert "run_until_complete" in service.ask("aiomonitor stacktrace")
    assert "stock" in service.ask("aiomonitor help")
    assert "No task 123" in service.ask("aiomonitor where 123")
    assert service.ask("aiomonitor exit") == ""


def test_custom_commands_work(service: Consoled) -> None:
    """Commands of the program work, also one that outputs from a background task."""
    assert service.ask("aiomonitor stock apples") == "apples: none"
    assert service.ask("aiomonitor --json wait")["output"] == "✓ waited"
    assert service.ask("aiomonitor hang") == ""
    assert "stock [OPTIONS] WHAT" in service.ask("aiomonitor stock --help")


def test_its_cancel_cancels(service: Consoled) -> None:
    """aiomonitor's `cancel` works with the permission `cancel`."""
    row = next(line for line in service.ask("aiomonitor ps").splitlines() if "patient" in line)
    number = row.strip("| ").split()[0]

    assert f"Cancelled task {number}" in service.ask(f"aiomonitor cancel {number}")
    assert "patient" not in service.ask("aiomonitor ps")


@pytest.mark.parametrize(
    ("line", "why"),
    [("fail", "ValueError: out of order"), ("nope", "No such command 'nope'"), ("where", "Missing argument")],
)
def test_an_error_is_told(service: Consoled, line: str, why: str) -> None:
    """An error in an aiomonitor command is reported to the client, and the service goes on."""
    answer = service.request(f"aiomonitor {line}")

    assert answer["status"] == "failed"
    assert why in answer["text"]
    assert is_alive(service)


def test_what_it_may_not_is_refused(service: Consoled) -> None:
    """aiomonitor's signals and Python prompt need the console's permissions."""
    assert "--allow signal" in service.request("aiomonitor signal SIGTERM")["text"]
    assert "--allow repl" in service.request("aiomonitor console")["text"]
    assert is_alive(service)


def test_no_port_is_open_and_no_factory_is_set(service: Consoled) -> None:
    """Running aiomonitor commands opens no port and sets no task factory."""
    service.ask("aiomonitor ps")
    service.do("print(asyncio.get_running_loop().get_task_factory(), flush=True)")

    assert service.process.stdout.readline() == "None\n"
    assert listening(service.process.pid) == []


def listening(pid: int) -> list[str]:
    """The TCP sockets on which a process listens."""
    sockets = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            sockets.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            continue
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets]


def test_a_command_finds_the_programs_own_monitor(tmp_path: Path) -> None:
    """If the program runs a monitor of its own class, commands find its attributes."""
    pytest.importorskip("aiomonitor")
    with consoled(tmp_path, program=program(its_own=ITS_OWN)) as running:
        assert running.ask("aiomonitor stock apples") == "apples: 7"
        assert len(listening(running.process.pid)) == 2  # the monitor's own


def test_without_it_one_sentence_says_so(tmp_path: Path) -> None:
    """Without aiomonitor in the program's environment, the command is refused."""
    (tmp_path / "aiomonitor.py").write_text("raise ImportError('not in this environment')")
    with consoled(tmp_path, program=program(has_aiomonitor=False)) as running:
        answer = running.request("aiomonitor ps")

        assert answer["status"] == "refused"
        assert "has no aiomonitor" in answer["text"]
        assert is_alive(running)
