"""Faults of the network: what each does to real connections, and that it is undone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.drive.network.proxies import Proxies, running
from harness.errors import TargetError
from harness.record.fault import catalogue, toxic
from harness.record.options.network import ProxyOptions
from tests.support.commanded import harness, wait
from tests.support.commanded import running as commanded
from tests.support.port import free_port

WHOLE = bytes(range(256)) * 40


@asynccontextmanager
async def proxied(tmp_path: Path) -> AsyncIterator[tuple[Proxies, int]]:
    """An echo service behind a proxy, whose port is given; it ends a connection when the other side does."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    service = await asyncio.start_server(echo, "127.0.0.1", 0)
    upstream = f"127.0.0.1:{service.sockets[0].getsockname()[1]}"
    options = ProxyOptions(name="db", listen=(port := free_port()), upstream=upstream)
    async with service, running([options], tmp_path / "proxies.log", lambda _: None) as proxies:
        assert proxies is not None
        yield proxies, port
    assert (tmp_path / "proxies.log").read_text() == ""


class Client:
    """A connection through the proxy."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Client:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    async def says(self, data: bytes) -> tuple[bytes, float]:
        """What comes back, as much as was sent, and after how many seconds."""
        began_s = time.monotonic()
        self.writer.write(data)
        got = await asyncio.wait_for(self.reader.readexactly(len(data)), 10)
        return got, time.monotonic() - began_s


async def poison(proxies: Proxies, kind: str, *, stream: str = "downstream", **parameters: Any) -> None:
    order = {"do": "add", "proxy": "db", "id": "one", "kind": kind, "stream": stream, "seed": 1}
    assert await proxies.ask(order | parameters) == {"ok": True}


async def heal(proxies: Proxies) -> tuple[int, int]:
    answer = await proxies.ask({"do": "remove", "proxy": "db", "id": "one"})
    return answer["fired"], answer["calls"]


async def test_without_a_fault_everything_is_passed_on(tmp_path: Path) -> None:
    """Both ways, and the end as well."""
    async with proxied(tmp_path) as (proxies, port), Client(port) as client:
        got, _ = await client.says(WHOLE)
        client.writer.write_eof()
        assert got == WHOLE
        assert await asyncio.wait_for(client.reader.read(), 10) == b""
        assert await heal(proxies) == (0, 0)


@pytest.mark.parametrize(
    ("kind", "parameters", "least_s"),
    [
        ("net.latency", {"delay_ms": 300.0}, 0.3),
        ("net.latency", {"delay_ms": 300.0, "jitter_ms": 100.0}, 0.2),
        ("net.bandwidth", {"rate_kb_per_s": 25.6}, 0.4),
        ("net.slicer", {"size_bytes": 1024, "delay_ms": 30.0}, 0.27),
    ],
)
@pytest.mark.parametrize("stream", ["downstream", "upstream"])
async def test_data_comes_later_and_whole(
    kind: str, parameters: dict[str, float], least_s: float, stream: str, tmp_path: Path
) -> None:
    """In its order; when the fault is undone, as soon as before."""
    async with proxied(tmp_path) as (proxies, port), Client(port) as client:
        await poison(proxies, kind, stream=stream, **parameters)
        got, took_s = await client.says(WHOLE)
        fired, calls = await heal(proxies)
        again, then_s = await client.says(WHOLE)

    assert got == again == WHOLE
    assert took_s >= least_s
    assert then_s < least_s
    assert fired == calls >= 1


async def test_both_directions_of_one_fault_add_up(tmp_path: Path) -> None:
    """A request and its answer are each late."""
    async with proxied(tmp_path) as (proxies, port), Client(port) as client:
        await poison(proxies, "net.latency", stream="both", delay_ms=200.0)
        assert (await client.says(b"x"))[1] >= 0.4


async def test_what_is_held_back_is_passed_on_when_the_fault_is_undone(tmp_path: Path) -> None:
    """A delay of an hour ends with the fault."""
    async with proxied(tmp_path) as (proxies, port), Client(port) as client:
        await poison(proxies, "net.latency", delay_ms=3_600_000.0)
        saying = asyncio.create_task(client.says(b"x"))
        await asyncio.sleep(0.2)
        assert not saying.done()
        assert await heal(proxies) == (1, 1)
        assert (await saying)[0] == b"x"


async def test_a_service_that_is_down_closes_what_there_is_and_what_comes(tmp_path: Path) -> None:
    """And is there again afterwards."""
    async with proxied(tmp_path) as (proxies, port):
        async with Client(port) as client:
            await client.says(b"x")
            await poison(proxies, "net.down")
            assert await asyncio.wait_for(client.reader.read(), 10) == b""
        async with Client(port) as client:
            with suppress(ConnectionError):
                assert await asyncio.wait_for(client.reader.read(), 10) == b""
        assert (await heal(proxies))[0] == 2
        async with Client(port) as client:
            assert (await client.says(b"x"))[0] == b"x"


async def test_a_connection_is_reset(tmp_path: Path) -> None:
    """As the kernel tells it of a peer that has crashed."""
    async with proxied(tmp_path) as (proxies, port), Client(port) as client:
        await client.says(b"x")
        await poison(proxies, "net.reset_peer")
        with pytest.raises(ConnectionResetError):
            await client.says(b"x")
        assert (await heal(proxies))[0] == 1


@pytest.mark.parametrize("after_ms", [0.0, 200.0])
async def test_nothing_comes_any_more(after_ms: float, tmp_path: Path) -> None:
    """Data of that time is lost; the connection goes on if the fault is undone before it is closed."""
    async with proxied(tmp_path) as (proxies, port), Client(port) as client:
        await poison(proxies, "net.timeout", after_ms=after_ms)
        client.writer.write(b"lost")
        if after_ms:
            assert await asyncio.wait_for(client.reader.read(), 10) == b""
        else:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.reader.read(1), 0.3)
            assert await heal(proxies) == (1, 1)
            assert (await client.says(b"found"))[0] == b"found"


async def test_a_connection_breaks_off_after_so_many_bytes(tmp_path: Path) -> None:
    """They do come."""
    async with proxied(tmp_path) as (proxies, port), Client(port) as client:
        await poison(proxies, "net.limit_data", size_bytes=1000)
        client.writer.write(WHOLE)
        assert await asyncio.wait_for(client.reader.read(), 10) == WHOLE[:1000]


async def test_the_end_of_a_connection_comes_late(tmp_path: Path) -> None:
    """The data before it does not."""
    async with proxied(tmp_path) as (proxies, port), Client(port) as client:
        await poison(proxies, "net.slow_close", delay_ms=300.0)
        assert (await client.says(b"x"))[1] < 0.3
        began_s = time.monotonic()
        client.writer.write_eof()
        assert await asyncio.wait_for(client.reader.read(), 10) == b""
        assert time.monotonic() - began_s >= 0.3


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """By its proxy and number."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ProxyOptions(name="db", listen=port, upstream="127.0.0.1:1")
        with pytest.raises(TargetError, match=f"proxy db: port {port}: "):
            async with running([options], tmp_path / "proxies.log", lambda _: None):
                pass


def test_every_kind_says_what_it_does_and_shows() -> None:
    """Like those in functions."""
    for name in toxic.names():
        kind = toxic.find(name)
        given = {
            key: one.typical if one.default is ... else one.default
            for key, one in catalogue.parameters(kind).items()
        }
        assert kind(**given).describe()
        assert kind.shows
        assert kind.__doc__
    with pytest.raises(ValueError, match="no fault of the kind"):
        toxic.find("net.earthquake")


PROGRAM = """
import asyncio, sys, time

async def main():
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    print("ready", flush=True)
    while True:
        began = time.monotonic()
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        print("took", time.monotonic() - began, flush=True)
        await asyncio.sleep(0.05)

asyncio.run(main())
"""
SCENARIO = """
[target]
kind = "program"
command = ["{python}", "program.py", "{port}"]
ready.log = "ready"
stop_signal = "SIGINT"

[load]
sender = "python"
call = "calls:nothing"
users = 1
duration_s = {duration}

[[proxies]]
name = "db"
listen = {port}
upstream = "127.0.0.1:{upstream}"

[[faults]]
id = "slow-db"
kind = "net.latency"
proxy = "{proxy}"
delay_ms = 400
at_s = 0.5
for_s = 1
"""
ECHO = """
import asyncio, sys

async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)

async def main():
    await (await asyncio.start_server(echo, "127.0.0.1", int(sys.argv[1]))).serve_forever()

asyncio.run(main())
"""


@asynccontextmanager
async def service(port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", ECHO, str(port))
    try:
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            await asyncio.sleep(0.05)
        yield
    finally:
        process.kill()
        await process.wait()


def written(tmp_path: Path, *, proxy: str = "db", duration: float = 2.5) -> tuple[int, int]:
    port, upstream = free_port(), free_port()
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "calls.py").write_text("import asyncio\nasync def nothing(_): await asyncio.sleep(0.1)\n")
    (tmp_path / "slow.toml").write_text(
        SCENARIO.format(python=sys.executable, port=port, upstream=upstream, proxy=proxy, duration=duration)
    )
    return port, upstream


async def test_a_scenario_slows_down_what_the_target_talks_to(tmp_path: Path) -> None:
    """Only while the fault is in force; the report has it with its effect."""
    _, upstream = written(tmp_path)
    async with service(upstream):
        ended = await asyncio.to_thread(harness, "run", "slow.toml", cwd=tmp_path)

    assert ended.status == 0, ended.stdout
    (fault,) = ended.report["faults"]
    assert (fault["kind"], fault["injected"], fault["undone"], fault["error"]) == (
        "net.latency",
        True,
        True,
        "",
    )
    assert fault["detail"] == "400 ms later, db (downstream)"
    assert 1 <= fault["fired"] == fault["calls"] <= 4
    log = (tmp_path / "run" / "artefacts" / "target.log").read_text()
    took = [float(line.split()[1]) for line in log.splitlines() if line.startswith("took")]
    # The last one may have been held back for the rest of the time of the fault only.
    assert fault["fired"] - sum(one >= 0.35 for one in took) in (0, 1)
    assert took[0] < 0.35 > took[-1]


async def test_no_proxy_outlives_the_runner(tmp_path: Path) -> None:
    """Even if that is killed while the fault is in force."""
    port, upstream = written(tmp_path, duration=60)
    async with service(upstream):
        with commanded("run", "slow.toml", cwd=tmp_path) as run:
            log = tmp_path / "run" / "artefacts" / "target.log"
            await asyncio.to_thread(wait, lambda: log.exists() and "took" in log.read_text(), within_s=60)
            os.kill(run.process.pid, signal.SIGKILL)
            run.process.communicate()
            await asyncio.to_thread(run.all_gone)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ('proxy = "db"', 'proxy = "dbs"', '22: faults.0.proxy: no proxy "dbs"; did you mean db?'),
        ('kind = "net.latency"', 'kind = "net.latnecy"', 'faults.0.kind: unknown kind "net.latnecy"'),
        ("delay_ms = 400", "delay_ms = 0", "faults.0.delay_ms: expected a finite number > 0, got 0"),
        (
            'upstream = "127.0.0.1:',
            'upstream = "http://127.0.0.1:',
            "proxies.0.upstream: expected a string such",
        ),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(
    was: str, becomes: str, message: str, tmp_path: Path
) -> None:
    """With the line of the file."""
    written(tmp_path)
    path = tmp_path / "slow.toml"
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, becomes))
    ended = harness("run", "slow.toml", cwd=tmp_path)

    assert ended.status == 2
    assert message in ended.stderr
