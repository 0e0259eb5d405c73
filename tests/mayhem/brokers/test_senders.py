"""The load driver's senders work with the service's brokers on real servers."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.drive.load.driver_config import DriverConfig
from harness.mayhem.backend import PublishingBroker
from harness.mayhem.brokers.nats import broker as nats_broker
from harness.mayhem.brokers.nats.broker import NatsBroker
from harness.mayhem.brokers.redis import broker as redis_broker
from harness.mayhem.brokers.redis.broker import RedisBroker
from harness.mayhem.ledger import Ledger, read_ledger
from harness.mayhem.message import Delivery, RestartEvent
from harness.mayhem.stores import sqlite as sqlite_store
from harness.record.event import Completed, LoadEnded, Sent, SpanEnded
from harness.record.reader import Follower
from tests.mayhem.support.broker_servers import running
from tests.support.broker_server import KINDS
from tests.support.driven import driven
from tests.support.port import free_port
from tests.support.recorded import of_kind

CONNECT: dict[str, Callable[..., Any]] = {"nats": nats_broker.connect, "redis": redis_broker.connect}


# A server that gives no answer within this time is unavailable.
PATIENCE = [
    "harness.mayhem.brokers.nats.connection",
    "harness.mayhem.brokers.redis.connection",
    "harness.drive.load.nats_records",
    "harness.drive.load.senders.nats",
    "harness.drive.load.senders.redis",
]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is there, but may get no processor for seconds."""
    for module in PATIENCE:
        monkeypatch.setattr(f"{module}.ANSWER_S", 60.0)


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """The record's folder."""
    folder = tmp_path / "events"
    folder.mkdir()
    return folder


def order(system: str, url: str, events: Path, *, rate_per_s: int, duration_s: float) -> DriverConfig:
    return DriverConfig(
        events=str(events),
        start_at_ns=time.monotonic_ns() + 300_000_000,
        sender=system,
        parameters={"url": url, "hosts": 3},
        arrival="constant",
        plan=((duration_s, rate_per_s, rate_per_s),),
        duration_s=duration_s,
        seed=1,
        # The driver ends as soon as all are answered; how soon that is depends on the machine.
        drain_s=60.0,
    )


@asynccontextmanager
async def serving(system: str, url: str, handle: Callable[..., Any]) -> AsyncIterator[PublishingBroker]:
    """Run a minimal consumer of the queue; *handle* settles each delivery."""
    connection: AbstractAsyncContextManager[PublishingBroker] = CONNECT[system](url, lease_s=30)
    async with connection as broker:

        async def consume() -> None:
            while deliveries := await broker.get(50):
                for delivery in deliveries:
                    await handle(broker, delivery)

        async with asyncio.TaskGroup() as group:
            group.create_task(consume())
            yield broker
            broker.drain()


@pytest.mark.usefixtures("patient")
async def test_every_message_is_answered_once_when_it_settles(
    system: str, url: str, events: Path, tmp_path: Path
) -> None:
    """Each message completes once, when the service acked it; the ledger finds the same."""
    settled_s = {}
    store_url = f"sqlite:{tmp_path / 'store.db'}"
    async with sqlite_store.connect(store_url) as store:

        async def handle(broker: NatsBroker | RedisBroker, delivery: Delivery) -> None:
            await store.save(delivery.message.id, "web-1")
            before_s = time.time()
            await broker.ack(delivery)
            settled_s[int(delivery.message.id.split("-")[0])] = before_s, time.time()

        async with serving(system, url, handle):
            asked = order(system, url, events, rate_per_s=100, duration_s=1)
            record = await driven(asked, events)
        ledger = await read_ledger(url, store_url)
    completed = of_kind(record, Completed)
    # A pause between the two readings makes the difference less.
    offset_s = max(time.time() - time.monotonic() for _ in range(100))

    assert [sent.n for sent in of_kind(record, Sent)] == list(range(100))
    assert sorted(c.n for c in completed) == list(range(100))
    assert {c.error for c in completed} == {""}
    # The server's time, which lies in the call: the reader's would be later the slower the machine is.
    wrong_s = []
    for c in completed:
        done_s, (before_s, after_s) = c.done_ns / 1e9 + offset_s, settled_s[c.n]
        wrong_s.append(max(0.0, before_s - done_s, done_s - after_s))
    assert statistics.median(wrong_s) < 0.05
    assert [over.offered for over in of_kind(record, LoadEnded)] == [100]
    assert ledger == Ledger(100, 100, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.usefixtures("patient")
async def test_the_service_understands_what_the_driver_sends(system: str, url: str, events: Path) -> None:
    """Id, body, time and trace of a message reach the service, with the publish span as their parent."""
    seen = []

    async def handle(broker: NatsBroker | RedisBroker, delivery: Delivery) -> None:
        seen.append(delivery.message)
        await broker.dead_letter(delivery, reason="no such host")

    async with serving(system, url, handle):
        asked = order(system, url, events, rate_per_s=10, duration_s=0.4)
        record = await driven(asked, events)
    # Each is sent by its own task, so their order may change when they are late.
    seen.sort(key=lambda message: message.id)
    spans = sorted(of_kind(record, SpanEnded), key=lambda span: span.start_ns)

    assert [RestartEvent.from_body(message.body).host for message in seen] == [
        f"host-{n}" for n in (0, 1, 2, 0)
    ]
    assert [message.headers for message in seen] == [
        {"traceparent": f"00-{s.trace_id}-{s.span_id}-01"} for s in spans
    ]
    assert all(abs(message.published_at - time.time()) < 30 for message in seen)
    assert sorted((c.n, c.error) for c in of_kind(record, Completed)) == [
        (n, "dead: no such host") for n in range(4)
    ]


async def first(follower: Follower, kind: type[Completed] | type[Sent], is_it: Callable[..., Any]) -> None:
    """Wait until the record has such an event."""
    async with asyncio.timeout(20):
        while not any(isinstance(event, kind) and is_it(event) for _, event in follower.new_events()):
            await asyncio.sleep(0.02)


@pytest.mark.long
async def test_the_load_goes_on_while_the_server_is_away(system: str, events: Path, tmp_path: Path) -> None:
    """Messages sent while the server is unavailable fail; later ones are answered."""
    with running(KINDS[system], tmp_path / "server") as server:
        url = server.url("away")

        async def handle(broker: NatsBroker | RedisBroker, delivery: Delivery) -> None:
            await broker.ack(delivery)

        async with CONNECT[system](url, lease_s=30):
            pass
        asked = order(system, url, events, rate_per_s=50, duration_s=3)
        follower = Follower(events)
        driving = asyncio.create_task(driven(asked, events))
        await first(follower, Sent, lambda sent: sent.n == 20)
        server.kill()
        await first(follower, Completed, lambda completed: completed.error)
        await asyncio.to_thread(server.start)
        async with serving(system, url, handle):
            record = await driving
    failed = {c.n for c in of_kind(record, Completed) if c.error}
    answered = {c.n for c in of_kind(record, Completed) if not c.error}

    assert len(of_kind(record, Sent)) == 150
    assert failed
    assert max(failed) < max(answered) == 149
    assert not failed & answered


@pytest.mark.parametrize("there", [True, False])
def test_without_a_queue_the_driver_does_not_start(
    system: str, request: pytest.FixtureRequest, events: Path, there: bool
) -> None:
    """Without the server or the queue, the driver ends with status 4 and one line."""
    port = request.getfixturevalue(f"{system}_server").port if there else free_port()
    url = f"{system}://127.0.0.1:{port}?queue=nowhere"
    ended = subprocess.run(
        [sys.executable, "-m", "harness.drive.load.driver"],
        input=order(system, url, events, rate_per_s=1, duration_s=1).to_json(),
        text=True,
        capture_output=True,
        timeout=60,
    )

    assert ended.returncode == 4
    assert ended.stderr.startswith(f"load driver: {system}://127.0.0.1:{port}: ")
    assert ("not a broker's queue" in ended.stderr) is there
    assert len(ended.stderr.splitlines()) == 1


def test_a_missing_library_is_named(system: str, events: Path) -> None:
    """Without its client library, the driver ends with status 2 and names the extra to install."""
    package = {"nats": "nats.aio", "redis": "redis"}[system]
    hidden = f"import sys; sys.modules[{package!r}] = None\n"
    ended = subprocess.run(
        [sys.executable, "-c", hidden + "from harness.drive.load.driver import main; exit(main())"],
        input=order(system, f"{system}://127.0.0.1:1", events, rate_per_s=1, duration_s=1).to_json(),
        text=True,
        capture_output=True,
        timeout=60,
    )

    assert ended.returncode == 2
    assert f"install asyncio-harness[{system}]" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
