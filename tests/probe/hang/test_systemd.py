"""systemd's watchdog is fed by the loop itself, over a real socket."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.probe.hang.notify_socket import NotifySocket
from harness.record.event import PartLeftOut
from tests.support.watched import Outcome, outcome, start, watched

TURNS = """
import asyncio, time
async def main():
    print(time.monotonic(), flush=True)
    await asyncio.sleep(0.8)
    print(time.monotonic(), flush=True)
    time.sleep(1.2)
    print(time.monotonic(), flush=True)
    await asyncio.sleep(0.3)
asyncio.run(main())
"""
USEC = 200_000


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager; its name for `NOTIFY_SOCKET` is `name_of`."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(tmp_path / "notify") if request.param == "path" else f"\0harness-{os.getpid()}")
    made.settimeout(0.5)
    yield made
    made.close()


def name_of(manager: socket.socket) -> str:
    name = manager.getsockname()
    return f"@{name[1:].decode()}" if isinstance(name, bytes) else str(name)


def test_a_held_loop_is_not_fed(manager: socket.socket, tmp_path: Path) -> None:
    """An idle loop feeds the watchdog in time; one that is held does not, until it turns again."""
    env = {"NOTIFY_SOCKET": name_of(manager), "WATCHDOG_USEC": str(USEC)}
    process, folder = start(TURNS, tmp_path, systemd_watchdog=True, env=env)
    fed: list[float] = []

    def read() -> None:
        while process.poll() is None:
            with suppress(TimeoutError):
                assert manager.recv(100) == b"WATCHDOG=1"
                fed.append(time.monotonic())

    reader = threading.Thread(target=read)
    reader.start()
    ended: Outcome = outcome(process, folder)
    reader.join()

    assert ended.status == 0, ended.stderr
    _, holds_s, held_s = map(float, ended.stdout.split())
    assert len([at_s for at_s in fed if at_s <= holds_s]) >= 4
    # What was sent just before the block may be read just after it has begun.
    assert [at_s for at_s in fed if holds_s + 0.3 < at_s < held_s] == []
    assert [at_s for at_s in fed if at_s > held_s]
    assert ended.of(PartLeftOut) == []


def test_a_process_that_systemd_does_not_watch_is_not_fed(tmp_path: Path) -> None:
    """Without a unit's variables, or in another process than the unit's, the record says why not."""
    program = "import asyncio\nasync def main():\n    await asyncio.sleep(0.05)\nasyncio.run(main())\n"
    other = {"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}

    (bare,) = watched(program, tmp_path / "a", systemd_watchdog=True).of(PartLeftOut)
    (child,) = watched(program, tmp_path / "b", systemd_watchdog=True, env=other).of(PartLeftOut)

    assert "WATCHDOG_USEC is not set" in bare.reason
    assert "fed by process 1 " in child.reason


def test_without_the_option_nothing_is_scheduled(manager: socket.socket, tmp_path: Path) -> None:
    """The variables alone change nothing: a program may feed the watchdog itself."""
    env = {"NOTIFY_SOCKET": name_of(manager), "WATCHDOG_USEC": str(USEC)}
    program = (
        "import asyncio\nasync def main():\n    await asyncio.sleep(0.1)\n"
        "    print(len(asyncio.get_running_loop()._scheduled))\nasyncio.run(main())\n"
    )

    assert watched(program, tmp_path, env=env).stdout == "0\n"
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(100)


def test_an_address_that_is_no_socket_is_refused() -> None:
    """One of another kind is an error that names it."""
    with pytest.raises(ValueError, match="expected a path or @NAME, got 'vsock:2:1234'"):
        NotifySocket("vsock:2:1234")
