"""The target as a process of the runner's."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from harness.drive.process.target import TargetProcess
from harness.drive.targets.spec import TargetSpec
from harness.record.event import Event, TargetExited, TargetStopping
from harness.record.probe_config import ProbeConfig
from harness.record.scenario import ReadyPort
from tests.support.port import free_port
from tests.support.recorded import of_kind
from tests.support.watched import run_folder


async def test_the_end_of_a_target_is_told_once(tmp_path: Path) -> None:
    """When it is seen, and not again when the target is stopped at the end of the run."""
    command = (sys.executable, "-I", "-S", "-c", "raise SystemExit('no such table')")
    spec = TargetSpec(command, tmp_path, None, "SIGTERM", 5)
    config = ProbeConfig(folder=str(run_folder(tmp_path / "run").path), limit_ns=10**9)
    told: list[Event] = []
    target = await TargetProcess.start(spec, config, tmp_path / "run" / "target.log", told.append)

    assert await target.wait_ended() == "with status 1; its last line: no such table"
    assert await target.stop() is None
    (end,) = of_kind(told, TargetExited)
    assert (end.status, end.expected, end.last_lines) == (1, False, ("no such table",))
    assert of_kind(told, TargetStopping) == []


CONNECTED = """
import asyncio, socket, sys

port = int(sys.argv[1])

async def main():
    async def connected(reader, writer):
        print("connected", flush=True)
        writer.close()

    async with await asyncio.start_server(connected, {address}):
        await asyncio.Event().wait()

asyncio.run(main())
"""
BOTH = "sock=socket.create_server(('::', port), family=socket.AF_INET6, dualstack_ipv6=True)"


@pytest.mark.parametrize(
    ("address", "connections"),
    [("'127.0.0.1', port", 0), ("'0.0.0.0', port", 0), ("None, port", 0), (BOTH, 1)],
    ids=["loopback", "all", "all of both", "one socket for both"],
)
async def test_a_server_that_listens_is_ready_without_a_connection(
    address: str, connections: int, tmp_path: Path
) -> None:
    """A service would take one that ends at once for a request that failed; one kind cannot be told."""
    command = (sys.executable, "-I", "-S", "-c", CONNECTED.format(address=address), str(port := free_port()))
    spec = TargetSpec(command, tmp_path, ReadyPort(port=port), "SIGINT", 5)
    config = ProbeConfig(folder=str(run_folder(tmp_path / "run").path), limit_ns=10**9)
    told: list[Event] = []
    target = await TargetProcess.start(spec, config, log := tmp_path / "run" / "target.log", told.append)

    await target.wait_ready()
    with socket.create_connection(("127.0.0.1", port)) as request:
        assert request.recv(1) == b""
    await target.stop()
    assert log.read_text().count("connected") == connections + 1
