"""Why requests fail: each kind by a real socket, those of the driver itself told apart from the target's."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from harness.drive.load.driver_config import DriverConfig
from harness.record.event import Completed, RequestFailure
from harness.record.options.load import HttpLoad
from tests.support.commanded import scenario
from tests.support.driven import driven
from tests.support.port import free_port
from tests.support.recorded import of_kind, recorded

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


@asynccontextmanager
async def listening(answer: Answer) -> AsyncIterator[int]:
    """A TCP server that treats each connection like this, after its first bytes; gives its port."""

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read(1)
        answer(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


def order(url: str, events: Path, *, rate_per_s: float = 20, **parameters: object) -> DriverConfig:
    asked: dict[str, Any] = {"timeout_s": 0.2} | parameters
    load = HttpLoad(sender="http", url=url, rate_per_s=rate_per_s, duration_s=0.1, **asked)
    return DriverConfig(
        events=str(events),
        start_at_ns=time.monotonic_ns() + 100_000_000,
        sender="http",
        parameters=load.parameters(),
        arrival="constant",
        plan=load.plan,
        duration_s=0.1,
        visits=tuple(load.visits()),
        seed=1,
        drain_s=5.0,
    )


async def kinds(url: str, events: Path) -> set[str]:
    """The kinds of the failures of a few requests."""
    return {one.kind for one in of_kind(await driven(order(url, events), events), Completed)}


def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def say_nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    pass


def chatter(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"who are you?\r\n\r\n")
    writer.close()


def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    writer.close()


@pytest.mark.parametrize(
    ("answer", "scheme", "kind"),
    [
        (close, "http", RequestFailure.RESET),
        (say_nothing, "http", RequestFailure.TIMEOUT),
        (chatter, "http", RequestFailure.PROTOCOL),
        (refuse, "http", RequestFailure.STATUS),
        (chatter, "https", RequestFailure.TLS),
    ],
)
async def test_a_failure_of_the_target_has_its_kind(
    tmp_path: Path, answer: Answer, scheme: str, kind: RequestFailure
) -> None:
    """What a server did is told apart, and is the target's doing."""
    async with listening(answer) as port:
        found = await kinds(f"{scheme}://127.0.0.1:{port}/", tmp_path)

    assert found == {kind}
    assert not kind.is_the_drivers


async def test_nobody_listens(tmp_path: Path) -> None:
    """A refused connection is the target's doing, too."""
    assert await kinds(f"http://127.0.0.1:{free_port()}/", tmp_path) == {RequestFailure.REFUSED}
    assert not RequestFailure.REFUSED.is_the_drivers


async def test_a_name_that_nobody_knows_is_the_drivers_failure(tmp_path: Path) -> None:
    """The target was never asked."""
    assert await kinds("http://no-such-host.invalid/", tmp_path) == {RequestFailure.NAME}
    assert RequestFailure.NAME.is_the_drivers


async def test_descriptors_that_run_out_are_the_drivers_failure(tmp_path: Path) -> None:
    """With few descriptors, some requests wait for their answer and the others cannot be sent."""
    async with listening(say_nothing) as port:
        asked = order(f"http://127.0.0.1:{port}/", tmp_path, rate_per_s=1000, timeout_s=3.0)
        driver = await asyncio.create_subprocess_exec(
            *("prlimit", "--nofile=40:40", sys.executable, "-m", "harness.drive.load.driver"),
            stdin=subprocess.PIPE,
        )
        await driver.communicate(asked.to_json().encode())
    found = {one.kind for one in recorded(tmp_path, Completed)}

    assert driver.returncode == 0
    assert found == {RequestFailure.DESCRIPTORS, RequestFailure.TIMEOUT}
    assert RequestFailure.DESCRIPTORS.is_the_drivers


# Serves one request at a time, and blocks its loop for longer than requests take to pile up.
STUCK = """
    import asyncio, time

    async def serve(reader, writer):
        await reader.read(1)
        time.sleep(0.2)
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", {port})
        print("ready", flush=True)
        await server.serve_forever()

    asyncio.run(main())
"""


@pytest.mark.long
@pytest.mark.slow
def test_a_run_whose_driver_lacked_descriptors_is_invalid(tmp_path: Path) -> None:
    """Its expectations say nothing then: status 3, with what ran out and what to do about it."""
    port = free_port()
    (tmp_path / "stuck.py").write_text(dedent(STUCK.format(port=port)))
    path = scenario(
        tmp_path,
        f"""
        [target]
        kind = "program"
        command = [{sys.executable!r}, "stuck.py"]
        ready = {{ log = "ready" }}
        stop_signal = "SIGINT"
        [load]
        sender = "http"
        url = "http://127.0.0.1:{port}/"
        rate_per_s = 400
        duration_s = 1
        drain_s = 0
        max_late_ms = 5000
        [expect]
        "load.offered" = "> 0"
        """,
    )
    limited = tmp_path / "limited.py"
    limited.write_text(
        "import resource, runpy\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n"
        "runpy.run_module('harness', run_name='__main__')\n"
    )
    ended = subprocess.run(
        [sys.executable, str(limited), "run", str(path), "--out", "run", "--json"],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=60,
    )

    assert ended.returncode == 3, ended.stderr
    assert '"outcome": "invalid"' in ended.stdout
    assert "could not be sent: no file descriptor left in the load driver (raise its limit" in ended.stdout
