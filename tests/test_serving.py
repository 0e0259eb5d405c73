"""`harness.open_console`: a console inside a program that was started without the harness."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import harness
from harness.record.process import console_endpoint
from tests.support.commanded import COMMAND, wait


@pytest.fixture
def runtime_folder(runtime_folder: str) -> Path:
    """Where the sockets of these tests lie."""
    return Path(runtime_folder, console_endpoint.FOLDER)


def attach(line: str) -> subprocess.CompletedProcess[str]:
    """Ask this very process, from another."""
    command = [*COMMAND, "attach", "-c", line, str(os.getpid())]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_program_goes_on_where_no_console_can_be_opened(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told why, once."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with harness.open_console() as console:
        opened = console.wait_open()

    assert opened is None
    (record,) = caplog.records
    assert "the console cannot be opened: this Python runs without the GIL" in record.getMessage()


async def test_a_running_loop_gets_a_console_for_as_long_as_the_block(runtime_folder: Path) -> None:
    """It is attached to by the pid, acts as allowed, and leaves neither threads, nor hooks, nor files."""
    loop = asyncio.get_running_loop()
    before = {*vars(vars(loop)["_selector"])}, threading.active_count(), loop.get_task_factory()
    victim = asyncio.create_task(asyncio.sleep(60), name="victim")
    with harness.open_console(allow=["cancel"]) as console:
        opened = await asyncio.to_thread(console.wait_open)
        listed = await asyncio.to_thread(attach, "ps --json")
        cancelled = await asyncio.to_thread(attach, "cancel victim")
        refused = await asyncio.to_thread(attach, "signal TERM")

    assert opened is not None
    assert opened.pid == os.getpid()
    assert opened.port is None
    assert "victim" in [row["task"] for row in json.loads(listed.stdout)["rows"]]
    assert cancelled.returncode == 0
    assert victim.cancelled()
    assert refused.returncode == 1
    assert list(runtime_folder.iterdir()) == []
    after = {*vars(vars(loop)["_selector"])}, loop.get_task_factory()
    assert after == (before[0], before[2])


async def test_its_blocks_are_kept_in_memory() -> None:
    """What held the loop is told with its line, by the limit that was asked for."""
    with harness.open_console(limit_ms=50) as console:
        await asyncio.to_thread(console.wait_open)
        await asyncio.sleep(0.01)
        time.sleep(0.2)
        await asyncio.sleep(0.01)
        blocks = json.loads((await asyncio.to_thread(attach, "blocks --json")).stdout)["rows"]

    assert max(row["held_ms"] for row in blocks) >= 200
    assert any("test_serving.py" in (row["where"] or "") for row in blocks)


async def test_a_port_and_its_token() -> None:
    """For telnet, on loopback; another token is refused."""
    with harness.open_console(port=0) as console:
        opened = await asyncio.to_thread(console.wait_open)

        assert opened is not None
        address = ("127.0.0.1", opened.port)

        def say(token: str) -> bytes:
            with socket.create_connection(address, timeout=20) as channel:
                channel.sendall(f"{token}\nhelp --json\nquit\n".encode())
                return b"".join(iter(lambda: channel.recv(65536), b""))

        answered = await asyncio.to_thread(say, opened.token)
        refused = await asyncio.to_thread(say, "x" * 32)

    assert json.loads(answered)["allowed"] == []
    assert refused == b"wrong token\n"


async def test_a_taken_port_is_logged_and_no_concern_of_the_programs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The socket serves all the same."""
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        with caplog.at_level(logging.WARNING), harness.open_console(port=port) as console:
            opened = await asyncio.to_thread(console.wait_open)

    assert opened is not None
    assert opened.port is None
    assert f"port {port} is taken by another program" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"allow": ["canel"]}, "allow: expected some of cancel, signal, slow, repl, chaos, got canel"),
        ({"port": 70_000}, "port must be 0 to 65535, got 70000"),
        ({"limit_ms": 0}, "limit_ms must be finite and at least 1, got 0"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, Any], message: str) -> None:
    """Are told at once."""
    with pytest.raises(ValueError, match=message):
        harness.open_console(**arguments)


def test_a_console_can_be_entered_once() -> None:
    """For another block there is another."""
    console = harness.open_console()
    with console:
        pass
    with pytest.raises(RuntimeError, match="can be entered once"):
        console.__enter__()


def test_a_forked_child_does_not_hold_its_parents_doors(tmp_path: Path) -> None:
    """When the parent has ended, nobody listens at its socket any more, though the child lives."""
    program = """
        import asyncio, os, sys, time
        import harness

        async def main():
            with harness.open_console() as console:
                opened = await asyncio.to_thread(console.wait_open)
                pid = os.fork()
                if pid == 0:
                    time.sleep(60)
                    os._exit(0)
                print(opened.socket, pid, flush=True)
                os._exit(0)

        asyncio.run(main())
    """
    command = [sys.executable, "-W", "ignore", "-c", dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        path, child = parent.stdout.readline().split()
        try:
            parent.wait(timeout=20)

            def is_closed() -> bool:
                with socket.socket(socket.AF_UNIX) as channel:
                    return channel.connect_ex(path) != 0

            assert wait(is_closed)
        finally:
            os.kill(int(child), 9)
