"""Both brokers do what every broker must do; and what only the one in SQLite can show."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest

from harness.mayhem.brokers.memory import MemoryBroker
from harness.mayhem.brokers.sqlite import SqliteBroker
from harness.mayhem.database import Database
from harness.mayhem.message import Delivery, Message

from .broker_conformance import CHECKS, LEASE_S, BrokerUnderTest, ManualClock, check


@pytest.mark.parametrize("member", ["memory", "sqlite"])
@pytest.mark.parametrize("rule", CHECKS, ids=lambda rule: rule.__name__)
async def test_conformance(member, rule, tmp_path):
    """Every broker keeps every rule."""

    @asynccontextmanager
    async def make(clock: ManualClock) -> AsyncIterator[BrokerUnderTest]:
        if member == "memory":
            yield MemoryBroker(lease_s=LEASE_S, clock=clock)
            return
        async with Database(tmp_path / "broker.db") as database:
            broker = SqliteBroker(database, lease_s=LEASE_S, clock=clock)
            await broker.create()
            yield broker

    await check(rule, make)


async def test_plain_insert_is_handed_out(tmp_path):
    """Another process publishes with the five columns of the wire contract."""
    async with Database(tmp_path / "broker.db") as database:
        broker = SqliteBroker(database, lease_s=LEASE_S)
        await broker.create()
        with closing(sqlite3.connect(database.path)) as connection, connection:
            connection.execute(
                "INSERT INTO message (id, body, headers, published_at, visible_at) VALUES (?, ?, ?, ?, ?)",
                ("a", "{}", '{"traceparent": "00-1-2-01"}', 1.5, 1.5),
            )

        expected = Delivery(Message("a", "{}", 1.5, {"traceparent": "00-1-2-01"}), 1)
        assert list(await broker.get(1)) == [expected]


@pytest.mark.parametrize("headers", ["", "not json", "[1]", "null", "[" * 100_000])
async def test_unreadable_headers_only_lose_the_trace(headers, tmp_path):
    """A message with broken headers is handed out like any other."""
    async with Database(tmp_path / "broker.db") as database:
        broker = SqliteBroker(database, lease_s=LEASE_S)
        await broker.create()
        await database.execute(
            "INSERT INTO message (id, body, headers, published_at, visible_at) VALUES ('a', '{}', ?, 1, 1)",
            headers,
        )

        assert list(await broker.get(1)) == [Delivery(Message("a", "{}", 1.0, {}), 1)]


async def test_undecodable_body_does_not_hold_up_the_others(tmp_path):
    """A row whose text is no UTF-8 is handed out with its neighbours, and can be laid aside."""
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

        assert sorted(d.message.body for d in deliveries) == ["{}", "\ufffd"]
        assert await broker.pending() == 0


async def test_settlement_is_on_record(tmp_path):
    """The table says when and why a message was settled, and how often it was handed back."""
    clock = ManualClock()
    async with Database(tmp_path / "broker.db") as database:
        broker = SqliteBroker(database, lease_s=LEASE_S, clock=clock)
        await broker.create()
        for message_id in "abc":
            await broker.put(Message(message_id, "{}", 1.5))
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


async def test_two_services_share_a_file_without_sharing_a_message(tmp_path):
    """Consumers of one file, each with its own connection, are handed disjoint messages."""
    path = tmp_path / "broker.db"
    async with Database(path) as one, Database(path) as two:
        brokers = [SqliteBroker(database, lease_s=LEASE_S) for database in (one, two)]
        for broker in brokers:
            await broker.create()
        for number in range(40):
            await brokers[number % 2].put(Message(str(number), "{}", 1.5))

        taken = [d.message.id for _ in range(4) for broker in brokers for d in await broker.get(5)]
        assert sorted(taken, key=int) == [str(number) for number in range(40)]
