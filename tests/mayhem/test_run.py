"""A run on a shared server leaves nothing there, and its record has no password."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.mayhem import brokers
from harness.mayhem.backend import member
from harness.mayhem.errors import StorageUnavailableError
from tests.mayhem.support.broker_servers import NatsServer, RedisServer, Server, running
from tests.support.commanded import harness, scenario

pytestmark = pytest.mark.slow

PASSWORD = "geheim77"
# The password options of each server, and the credentials.
LOCKS = {
    "nats": (NatsServer, ("--user", "me", "--pass", PASSWORD), f"me:{PASSWORD}@"),
    "redis": (RedisServer, ("--requirepass", PASSWORD), f":{PASSWORD}@"),
}
RUN = """
    [target]
    kind = "mayhem"
    broker = "{broker}"
    settings = {settings}
    [load]
    sender = "{system}"
    rate_per_s = 40
    duration_s = 2
    max_late_ms = 5000
    drain_s = 40
"""
# All messages but those of one host fail at once. By settings, since a fault ends with the load, and a slow
# machine handles most messages after that.
POISON = '{ host_failure = "chance:1", max_deliveries = 1, circuit_failures = 1000 }'


@pytest.fixture(params=["nats", pytest.param("redis", marks=pytest.mark.long)])
def system(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(system: str, tmp_path: Path) -> Iterator[Server]:
    kind, options, _ = LOCKS[system]
    with running(kind, tmp_path / system, *options) as started:
        yield started


def carried_out(system: str, server: Server, tmp_path: Path, *, settings: str = "{}") -> tuple[Any, str]:
    """Carry out a run whose URL names no queue; return its end and the queue's URL."""
    own_url = server.url("", user=LOCKS[system][2]).partition("?")[0]
    path = scenario(tmp_path, RUN.format(broker=own_url, system=system, settings=settings))
    return harness("run", path, cwd=tmp_path, out="run-1"), f"{own_url}?queue=run-1"


@pytest.mark.long
async def test_nothing_is_left_of_a_run(system: str, server: Server, tmp_path: Path) -> None:
    """Once every message is handled, the queue is removed; the record has no password."""
    ended, url = carried_out(system, server, tmp_path)
    found = subprocess.run(["grep", "-rl", PASSWORD, ended.folder.path], capture_output=True, text=True)

    assert ended.status == 0, ended.stderr
    assert ended.report["ledger"]["acked"] == ended.report["load"]["completed"] > 40
    assert [finding for finding in ended.report["findings"] if finding["rule"] == "ledger"] == []
    assert found.stdout == ""
    assert PASSWORD not in ended.stderr + ended.stdout
    assert not await exists(url)


@pytest.mark.long
async def test_a_queue_with_dead_letters_is_left_and_noted(
    system: str, server: Server, tmp_path: Path
) -> None:
    """A queue with dead letters is kept and noted; `remove` deletes it, and can be repeated."""
    ended, url = carried_out(system, server, tmp_path, settings=POISON)
    dead = ended.report["ledger"]["dead_lettered"]
    (note,) = [finding for finding in ended.report["findings"] if finding["rule"] == "ledger"]
    command = [sys.executable, "-m", "harness.mayhem", "remove", "--broker", url]

    assert dead > 40
    assert note["level"] == "note"
    assert note["message"] == (
        f"the queue of the run was left on its server: of its messages {dead} dead-lettered"
    )
    assert await exists(url)
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not await exists(url)


async def exists(url: str) -> bool:
    """Whether the server has messages of that queue."""
    try:
        return bool((await member(brokers, url, "audit").audit(url)).published > 0)
    except StorageUnavailableError:  # NATS: no such stream
        return False


async def test_only_a_queue_on_a_server_can_be_removed(tmp_path: Path) -> None:
    """`remove` does not delete files."""
    path = tmp_path / "mayhem.db"
    command = [sys.executable, "-m", "harness.mayhem", "remove", "--broker", f"sqlite:{path}"]
    refused = subprocess.run(command, capture_output=True, text=True)

    assert refused.returncode == 2
    assert refused.stderr.startswith("mayhem: expected a URL with one of nats:, redis:, got 'sqlite:")
