"""Malformed messages and frozen servers are logged and counted, and no message is lost."""

from __future__ import annotations

import asyncio
import re
import signal
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from harness.mayhem import backend
from harness.mayhem.errors import OversizedMessageError
from harness.mayhem.ledger import Ledger, read_ledger
from harness.mayhem.message import Message, RestartEvent
from tests.mayhem.support.broker_servers import running
from tests.mayhem.support.endpoint import get, port_of
from tests.mayhem.support.service_process import last_words, started, wait_line, wait_until
from tests.support.broker_server import KINDS

LEASE_S = 5
GOOD = RestartEvent("host-1").to_body()
# By the reasons with which they are dead-lettered.
ODD = {
    "words": (b"restart host-1, please", "body must be JSON"),
    "latin-1": ('{"host": "höst", "event": "restart"}'.encode("latin-1"), "body must be JSON"),
    "huge": (b"x" * 10_000_000, "body has 10000000 bytes, more than"),
}


@pytest.fixture(params=["sqlite", "nats", "redis"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a queue of this test."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'mayhem.db'}"
    return str(request.getfixturevalue(f"{request.param}_server").url(uuid.uuid4().hex))


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'store.db'}"


def put(url: str, *messages: Message) -> set[Any] | set[str]:
    """Publish as another process does; return the ids of messages that the broker refuses."""

    async def put_all() -> set[Any] | set[str]:
        refused = set()
        async with backend.broker(url, lease_s=LEASE_S) as outlet:
            for message in messages:
                try:
                    await outlet.put(message)
                except OversizedMessageError:
                    refused.add(message.id)
        return refused

    return asyncio.run(put_all())


def ledger(broker: str, store: str) -> Ledger:
    return asyncio.run(read_ledger(broker, store))


def counted(port: int, name: str, label: str) -> float:
    """The sum of a metric's values with that label."""
    _, text = get(port, "/metrics")
    lines = (line for line in text.splitlines() if line.startswith(name) and label in line)
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_odd_messages_are_laid_aside_and_told_and_the_rest_is_handled(broker: str, store: str) -> None:
    """Malformed or oversized messages are logged, counted and dead-lettered; the others are handled."""
    odd = [Message(name, body, time.time()) for name, (body, _) in ODD.items()]
    refused = put(broker, *odd, Message("no headers", GOOD, time.time()), Message("good", GOOD, time.time()))
    assert refused == ({"huge"} if broker.startswith("nats") else set())
    aside = ODD.keys() - refused
    options = ("--store", store, "--lease-s", str(LEASE_S), "--http", "0")
    with started("--broker", broker, *options) as process:
        port = port_of(process)
        wait_line(process, "consuming")
        wait_until(lambda: not ledger(broker, store).waiting)
        dead = counted(port, "mayhem_settled_messages_total", 'verdict="dead-letter"')
        process.send_signal(signal.SIGTERM)
        said = last_words(process)

    done = ledger(broker, store)
    assert (done.acked, done.dead_lettered, done.lost, done.acked_unsaved) == (2, len(aside), 0, 0)
    assert dead == len(aside)
    for name in aside:
        (line,) = [line for line in said.splitlines() if f"message_id={name} " in line]
        assert "WARNING harness.mayhem.messages.handler message failed" in line
        assert ODD[name][1] in line
        assert len(line) < 1000
    assert process.returncode == 0
    assert "Traceback" not in said


@pytest.mark.parametrize("system", ["nats", "redis"])
@pytest.mark.long
def test_a_server_that_freezes_is_told_and_nothing_is_lost(system: str, store: str, tmp_path: Path) -> None:
    """While the server is frozen, log and metrics report it; afterwards every message is handled."""
    with running(KINDS[system], tmp_path / "server") as server:
        url = server.url("a")
        put(url, *(Message(str(number), GOOD, time.time()) for number in range(200)))
        options = ("--store", store, "--lease-s", str(LEASE_S), "--hosts", "2", "--http", "0")
        with started("--broker", url, *options) as process:
            port = port_of(process)
            wait_line(process, "consuming")
            server.pause()
            try:
                wait_until(lambda: counted(port, "mayhem_storage_errors_total", system) > 0)
            finally:
                server.resume()
            wait_until(lambda: not ledger(url, store).waiting)
            process.send_signal(signal.SIGTERM)
            said = last_words(process)
        done = ledger(url, store)

    assert (done.published, done.acked, done.lost, done.acked_unsaved) == (200, 200, 0, 0)
    assert re.search(rf"{system}://127\.0\.0\.1:{server.port}", said)
    assert process.returncode == 0
