"""Every broker passes the conformance suite; and checks that apply to SQLite only."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from harness.mayhem.brokers.memory.broker import MemoryBroker
from harness.mayhem.brokers.nats import broker as nats_broker
from harness.mayhem.brokers.redis import broker as redis_broker
from harness.mayhem.brokers.sqlite.broker import SqliteBroker
from harness.mayhem.database import Database
from harness.mayhem.message import Delivery, Message
from harness.testing.broker import BROKER_CHECKS, Bench, ManualClock
from tests.mayhem.support.broker_servers import Server
from tests.mayhem.support.clock import LEASE_S


@pytest.mark.parametrize("check", BROKER_CHECKS, ids=lambda check: check.__name__)
async def test_memory_conforms(check: Callable[[Any], Awaitable[None]]) -> None:
    """The broker in memory passes every check."""

    @asynccontextmanager
    async def make(lease_s: float) -> AsyncIterator[Bench]:
        clock = ManualClock()
        broker = MemoryBroker(lease_s=lease_s, clock=clock)
        yield Bench(broker, broker, lease_s, clock)

    await check(make)


@pytest.mark.parametrize("check", BROKER_CHECKS, ids=lambda check: check.__name__)
async def test_sqlite_conforms(check: Callable[[Any], Awaitable[None]], tmp_path: Path) -> None:
    """The broker in SQLite passes every check, with two consumers on separate connections."""

    @asynccontextmanager
    async def make(lease_s: float) -> AsyncIterator[Bench]:
        clock = ManualClock()
        async with Database(tmp_path / "a.db") as one, Database(tmp_path / "a.db") as two:
            broker, peer = (SqliteBroker(database, lease_s=lease_s, clock=clock) for database in (one, two))
            await broker.create()
            yield Bench(broker, peer, lease_s, clock)

    await check(make)


def on_server(connect: Callable[..., Any], server: Server) -> Callable[..., Any]:
    """Two connections to an unused queue."""

    @asynccontextmanager
    async def make(lease_s: float) -> AsyncIterator[Bench]:
        url = server.url(uuid.uuid4().hex)
        async with connect(url, lease_s=lease_s) as broker, connect(url, lease_s=lease_s) as peer:
            yield Bench(broker, peer, lease_s)

    return make


@pytest.mark.parametrize("check", BROKER_CHECKS, ids=lambda check: check.__name__)
async def test_redis_conforms(check: Callable[[Any], Awaitable[None]], redis_server: Server) -> None:
    """The broker in Redis passes every check on a real server."""
    await check(on_server(redis_broker.connect, redis_server))


@pytest.mark.parametrize("check", BROKER_CHECKS, ids=lambda check: check.__name__)
async def test_nats_conforms(check: Callable[[Any], Awaitable[None]], nats_server: Server) -> None:
    """The broker in NATS JetStream passes every check on a real server."""
    await check(on_server(nats_broker.connect, nats_server))


async def test_plain_insert_is_handed_out(tmp_path: Path) -> None:
    """Another process publishes with the five columns of the wire contract."""
    async with Database(tmp_path / "broker.db") as database:
        broker = SqliteBroker(database, lease_s=LEASE_S)
        await broker.create()
        with closing(sqlite3.connect(database.path)) as connection, connection:
            connection.execute(
                "INSERT INTO message (id, body, headers, published_at, visible_at) VALUES (?, ?, ?, ?, ?)",
                ("a", "{}", '{"traceparent": "00-1-2-01"}', 1.5, 1.5),
            )

        expected = Delivery(Message("a", b"{}", 1.5, {"traceparent": "00-1-2-01"}), 1)
        assert list(await broker.get(1)) == [expected]


@pytest.mark.parametrize("headers", ["", "not json", "[1]", "null", "[" * 100_000])
async def test_unreadable_headers_only_lose_the_trace(headers: str, tmp_path: Path) -> None:
    """A message with broken headers is delivered like any other."""
    async with Database(tmp_path / "broker.db") as database:
        broker = SqliteBroker(database, lease_s=LEASE_S)
        await broker.create()
        await database.execute(
            "INSERT INTO message (id, body, headers, published_at, visible_at) VALUES ('a', '{}', ?, 1, 1)",
            headers,
        )

        assert list(await broker.get(1)) == [Delivery(Message("a", b"{}", 1.0, {}), 1)]


async def test_undecodable_body_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """A row whose text is not UTF-8 is delivered with its neighbours, and can be dead-lettered."""
    async with Database(tmp_path / "broker.db") as database:
        broker = SqliteBroker(database, lease_s=LEASE_S)
        await broker.create()
        await database.execute(
            "INSERT INTO message (id, body, headers, published_at, visible_at) "
            "VALUES ('a', CAST(x'ff' AS TEXT), '{}', 1, 1), ('b', '{}', '{}', 1, 1)"
        )
        deliveries = await broker.get(2)
        for delivery in deliveries:
            await broker.dead_letter(delivery, reason="poison")

        assert sorted(d.message.body for d in deliveries) == [b"{}", b"\xff"]
        assert await broker.pending() == 0


async def test_settlement_is_on_record(tmp_path: Path) -> None:
    """The table shows when and why a message was settled, and how often it was handed back."""
    clock = ManualClock()
    async with Database(tmp_path / "broker.db") as database:
        broker = SqliteBroker(database, lease_s=LEASE_S, clock=clock)
        await broker.create()
        for message_id in "abc":
            await broker.put(Message(message_id, b"{}", 1.5))
        acked, dead, nacked = sorted(await broker.get(3), key=lambda d: d.message.id)
        await broker.ack(acked)
        await broker.dead_letter(dead, reason="poison")
        await broker.nack(nacked, delay_s=7)

        table = await database.execute("SELECT id, state, settled_at, reason, nacks FROM message ORDER BY id")
        assert table.rows == [
            ("a", "acked", clock.now, None, 0),
            ("b", "dead", clock.now, "poison", 0),
            ("c", "waiting", None, None, 1),
        ]
