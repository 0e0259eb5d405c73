"""Brokers on servers that are unavailable, come back, refuse, freeze or lose their data."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from redis.asyncio import Redis

from harness.mayhem import backend
from harness.mayhem.brokers.broker_url import BrokerUrl
from harness.mayhem.brokers.nats import connection as nats_connection
from harness.mayhem.brokers.nats import pull as nats_pull
from harness.mayhem.brokers.redis import broker as redis_broker
from harness.mayhem.brokers.redis import connection as redis_connection
from harness.mayhem.errors import LeaseLostError, StorageBrokenError, StorageUnavailableError
from harness.mayhem.ledger import Ledger, read_ledger
from harness.mayhem.message import Delivery, Message
from harness.mayhem.messages.consumer import Consumer
from harness.mayhem.operations.failure_ledger import FailureLedger
from harness.mayhem.stores import sqlite as sqlite_store
from tests.mayhem.support.broker_servers import NatsServer, Server, running
from tests.support.broker_server import KINDS
from tests.support.port import free_port

PATIENCE_S = 30
T = TypeVar("T")
CONNECTIONS = {"nats": nats_connection, "redis": redis_connection}
PULLS = {"nats": nats_pull, "redis": redis_broker}
SECRET = {"nats": ("--user", "mayhem", "--pass", "s3cret"), "redis": ("--requirepass", "s3cret")}
TAKE_ONE = """
import asyncio, sys
from harness.mayhem import backend
async def main():
    async with backend.broker(sys.argv[1], lease_s=1) as broker:
        await broker.get(10)
        print("in hand", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
def server(system: str, tmp_path: Path) -> Iterator[Server]:
    """A server for this test only."""
    with running(KINDS[system], tmp_path / "server") as server:
        yield server


@pytest.fixture
def impatient(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short time-outs for servers that do not answer."""
    monkeypatch.setattr(CONNECTIONS[system], "ANSWER_S", 0.6)
    monkeypatch.setattr(PULLS[system], "PULL_S", 0.3)


def message(message_id: str) -> Message:
    return Message(message_id, b"{}", 1.5)


async def eventually(call: Callable[[], Awaitable[T]]) -> T:
    """Retry *call* until the server is back."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await call()
            except StorageUnavailableError:
                await asyncio.sleep(0.05)


async def noticed(failures: FailureLedger) -> None:
    """Wait until the consumer has met the server's absence."""
    async with asyncio.timeout(PATIENCE_S):
        while not failures.totals()["retried"]:
            await asyncio.sleep(0.01)


async def test_nobody_there_at_the_start(system: str) -> None:
    """Without a server, connecting fails soon, with the address but without the password."""
    port = free_port()
    with pytest.raises(StorageUnavailableError) as raised:
        async with backend.broker(f"{system}://me:s3cret@127.0.0.1:{port}", lease_s=1):
            pass

    assert str(raised.value).startswith(f"{system}://127.0.0.1:{port}: ")
    assert "refused" in str(raised.value) or "failed" in str(raised.value)
    assert "s3cret" not in repr(raised.value)


@pytest.mark.parametrize("user", ["", "mayhem:wr0ng@"])
async def test_a_server_that_refuses_the_password(system: str, tmp_path: Path, user: str) -> None:
    """A wrong or missing password is a permanent error, with advice and without the password."""
    with running(KINDS[system], tmp_path / "server", *SECRET[system]) as server:
        with pytest.raises(StorageBrokenError, match="check the user and password in the URL") as raised:
            async with backend.broker(server.url("a", user=user), lease_s=1):
                pass
        right = "mayhem:s3cret@" if system == "nats" else ":s3cret@"
        async with backend.broker(server.url("a", user=right), lease_s=1) as broker:
            await broker.put(message("a"))

            # NATS counts a little after it has acknowledged.
            async with asyncio.timeout(PATIENCE_S):
                while await broker.pending() != 1:
                    await asyncio.sleep(0.01)
    assert "wr0ng" not in str(raised.value)


async def test_a_server_without_jetstream(tmp_path: Path) -> None:
    """Without JetStream, the error says how to start the server."""
    with running(NatsServer, tmp_path / "server") as server:
        server.kill()
        server.command = tuple(word for word in server.command if word != "-js")
        server.start()
        with pytest.raises(StorageBrokenError, match="start the server with -js"):
            async with backend.broker(server.url("a"), lease_s=1):
                pass


async def test_a_wrong_database(redis_server: Server) -> None:
    """A database number that Redis does not have is a permanent error."""
    with pytest.raises(StorageBrokenError, match="DB index is out of range"):
        async with backend.broker(f"redis://127.0.0.1:{redis_server.port}/77", lease_s=1):
            pass


async def test_away_and_back(system: str, server: Server, impatient: None) -> None:
    """While the server is unavailable, every call fails with a temporary error; afterwards all work again."""
    async with backend.broker(server.url("a"), lease_s=PATIENCE_S) as broker:
        await broker.put(message("a"))
        (held,) = await broker.get(1)
        getting = asyncio.create_task(broker.get(10))
        await asyncio.sleep(0)
        server.kill()
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: getting,
            lambda: broker.put(message("c")),
            lambda: broker.ack(held),
            lambda: broker.extend(held),
            broker.pending,
            lambda: broker.get(1),
        ]
        for call in calls:
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(StorageUnavailableError, match=f":{server.port}"):
                    await call()
        await asyncio.to_thread(server.start)
        await eventually(lambda: broker.put(message("d")))
        await eventually(lambda: broker.ack(held))

        came = [d.message.id for d in await broker.get(10)]
        # A message in flight when NATS was killed may be delivered again.
        assert came in ([["d"], ["a", "d"]] if system == "nats" else [["d"]])
        assert await broker.pending() == 1


@pytest.mark.long
async def test_a_frozen_server(system: str, server: Server, impatient: None) -> None:
    """A frozen server counts as unavailable; no call hangs, and no message is lost."""
    async with backend.broker(server.url("a"), lease_s=3) as broker:
        await broker.put(message("a"))
        (held,) = await broker.get(1)
        server.pause()
        try:
            for call in (lambda: broker.get(1), lambda: broker.ack(held), broker.pending):
                async with asyncio.timeout(PATIENCE_S):
                    with pytest.raises(StorageUnavailableError):
                        await call()
            with pytest.raises(StorageUnavailableError):
                async with asyncio.timeout(PATIENCE_S), backend.broker(server.url("b"), lease_s=1):
                    pass
        finally:
            server.resume()

        # The server may now process the request, or the message is delivered again.
        handling = asyncio.create_task(Consumer(broker, broker.ack, concurrency=1).run())
        async with asyncio.timeout(PATIENCE_S):
            while await eventually(broker.pending):
                await asyncio.sleep(0.05)
        broker.drain()
        await handling


@pytest.mark.long
async def test_a_consumer_outlives_its_server(
    system: str, server: Server, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer continues when the server comes back, and handles every message."""
    monkeypatch.setattr("harness.mayhem.messages.consumer.RETRY_S", 0.05)
    handled = set()
    async with backend.broker(server.url("a"), lease_s=2) as broker:

        async def handle(delivery: Delivery) -> None:
            await asyncio.sleep(0.01)
            try:
                await broker.ack(delivery)
            except (StorageUnavailableError, LeaseLostError):
                return  # it comes again
            handled.add(delivery.message.id)

        failures = FailureLedger()
        consumer = Consumer(broker, handle, concurrency=5, failures=failures)
        for number in range(100):
            await broker.put(message(str(number)))
        consuming = asyncio.create_task(consumer.run())
        async with asyncio.timeout(PATIENCE_S):
            while len(handled) < 20:
                await asyncio.sleep(0.01)
        server.kill()
        await noticed(failures)
        assert not consuming.done()
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(PATIENCE_S):
            while await eventually(broker.pending):
                await asyncio.sleep(0.05)
        consumer.drain()
        await consuming

    # An ack whose answer was lost with the server does not count here.
    assert len(handled) >= 95


async def test_a_consumer_drains_while_its_server_is_away(server: Server) -> None:
    """A drain while the server is unavailable ends the consumer at once."""
    async with backend.broker(server.url("a"), lease_s=2) as broker:
        failures = FailureLedger()
        consumer = Consumer(broker, lambda delivery: asyncio.sleep(0), concurrency=5, failures=failures)
        consuming = asyncio.create_task(consumer.run())
        await asyncio.sleep(0)
        server.kill()
        await noticed(failures)
        consumer.drain()
        async with asyncio.timeout(3):
            await consuming


async def test_what_a_killed_process_had_comes_again(system: str, url: str) -> None:
    """A message held by a killed process is delivered again when its lease ends."""
    async with backend.broker(url, lease_s=1) as broker:
        await broker.put(message("a"))
        with subprocess.Popen([sys.executable, "-c", TAKE_ONE, url], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"in hand\n"
            process.kill()
        async with asyncio.timeout(PATIENCE_S):
            (again,) = await broker.get(10)

        assert (again.message.id, again.number) == ("a", 2)
        await broker.ack(again)
        assert await broker.pending() == 0


async def test_messages_that_vanish_are_missed(system: str, url: str, tmp_path: Path) -> None:
    """The ledger counts messages as lost that were deleted from the queue by other means."""
    store_url = f"sqlite:{tmp_path / 'store.db'}"
    async with backend.broker(url, lease_s=PATIENCE_S) as broker, sqlite_store.connect(store_url):
        for number in range(5):
            await broker.put(message(str(number)))
        acked, dead = await broker.get(1), await broker.get(1)
        await broker.ack(acked[0])
        await broker.dead_letter(dead[0], reason="poison")
        before = await read_ledger(url, store_url)
        if system == "redis":
            async with Redis.from_url(url.partition("?")[0]) as client:
                await client.xtrim(f"{{{queue(url)}}}:stream", maxlen=1, approximate=False)
        else:
            async with nats_connection.connected(BrokerUrl.from_url(url)) as connection:
                await connection.js.purge_stream(queue(url), keep=1)
        after = await read_ledger(url, store_url)

    assert before == Ledger(5, 1, 0, 0, 0, 0, 1, 3, 1)
    assert after == Ledger(5, 1, 0, 0, 0, 2, 1, 1, 1)


async def test_a_server_that_lost_its_data(system: str, url: str) -> None:
    """After the queue is deleted, leases are lost and new messages are handled."""
    async with backend.broker(url, lease_s=PATIENCE_S) as broker:
        await broker.put(message("old"))
        (held,) = await broker.get(1)
        if system == "redis":
            async with Redis.from_url(url.partition("?")[0]) as client:
                await client.delete(*await client.keys(f"{{{queue(url)}}}:*"))
        else:
            async with nats_connection.connected(BrokerUrl.from_url(url)) as connection:
                for stream in (queue(url), f"{queue(url)}_records"):
                    await connection.js.delete_stream(stream)
        with pytest.raises((LeaseLostError, StorageUnavailableError)):
            await broker.ack(held)
        getting = asyncio.create_task(eventually(lambda: broker.get(1)))
        await eventually(lambda: broker.put(message("new")))
        async with asyncio.timeout(PATIENCE_S):
            (delivery,) = await getting

        assert delivery.message.id == "new"


def queue(url: str) -> str:
    return url.partition("queue=")[2]
