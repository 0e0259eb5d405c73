"""The ledger shows what became of every message, and counts vanished ones as lost."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.mayhem import backend
from harness.mayhem.brokers.sqlite.broker import SqliteBroker
from harness.mayhem.database import Database
from harness.mayhem.errors import SettingsError, StorageError
from harness.mayhem.ledger import Ledger, read_ledger
from harness.mayhem.message import Message
from harness.mayhem.stores.sqlite import SqliteStore
from tests.mayhem.support.broker_servers import Server
from tests.mayhem.support.clock import LEASE_S, ManualClock
from tests.mayhem.support.postgres_server import new_database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Any]:
    """Six messages: a and b acked (b saved twice), c dead, d handed back, e redelivered, f new."""
    clock = ManualClock()
    async with Database(tmp_path / "mayhem.db") as database:
        broker, store = SqliteBroker(database, lease_s=LEASE_S, clock=clock), SqliteStore(database)
        await broker.create()
        await store.create()
        for message_id in "abcde":
            await broker.put(Message(message_id, b"{}", 1.5))
        a, b, c, d, _ = sorted(await broker.get(5), key=lambda delivery: delivery.message.id)
        for saved in (a, b, b):
            await store.save(saved.message.id, "web-1")
        await broker.ack(a)
        await broker.ack(b)
        await broker.dead_letter(c, reason="poison")
        await broker.nack(d, delay_s=LEASE_S * 10)
        clock.advance(LEASE_S + 1)
        await broker.get(5)
        await broker.put(Message("f", b"{}", 1.5))
        yield database


SOUND = {
    "published": 6,
    "acked": 2,
    "nacked": 1,
    "redelivered": 1,
    "duplicated": 1,
    "lost": 0,
    "dead_lettered": 1,
    "waiting": 3,
    "acked_unsaved": 0,
}


async def ledger_of(database: Database) -> Ledger:
    return await read_ledger(f"sqlite:{database.path}", f"sqlite:{database.path}")


async def test_every_end_is_counted(database: Database) -> None:
    """Each figure is right while the service has the file open."""
    assert await ledger_of(database) == Ledger(**SOUND)


@pytest.mark.parametrize(
    ("damage", "changed"),
    [
        ("DELETE FROM message WHERE id = 'f'", {"lost": 1, "waiting": 2}),
        ("UPDATE message SET state = 'gone' WHERE id = 'f'", {"lost": 1, "waiting": 2}),
        ("DELETE FROM saved WHERE message_id = 'a'", {"acked_unsaved": 1}),
    ],
)
async def test_what_vanished_is_missed(damage: str, changed: dict[str, int], database: Database) -> None:
    """A row that is missing or in an unknown state is lost; an ack without a save is counted."""
    await database.execute(damage)

    assert await ledger_of(database) == Ledger(**{**SOUND, **changed})


@asynccontextmanager
async def store_of(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """The URL of an empty store."""
    if kind == "sqlite":
        yield f"sqlite:{tmp_path / 'a.db'}"
        return
    async with new_database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.mark.parametrize("system", ["nats", "redis"])
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_brokers_on_servers_keep_the_same_books(
    system: str, store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The figures mean the same for brokers on servers, with any store."""
    broker_url = request.getfixturevalue(f"{system}_server").url(uuid.uuid4().hex)
    async with (
        store_of(store, request, tmp_path) as store_url,
        backend.broker(broker_url, lease_s=1) as broker,
        backend.store(store_url) as kept,
    ):
        for message_id in "abcdef":
            await broker.put(Message(message_id, b"{}", 1.5))
        taken: dict[Any, Any] = {}
        while len(taken) < 5:
            for delivery in await broker.get(5 - len(taken)):
                taken[delivery.message.id] = delivery
        for message_id in "abb":
            await kept.save(message_id, "web-1")
        await broker.ack(taken["a"])
        await broker.ack(taken["b"])
        await broker.dead_letter(taken["c"], reason="poison")
        await broker.nack(taken["d"], delay_s=60)
        again: dict[Any, Any] = {}
        while "e" not in again:
            again.update((delivery.message.id, delivery) for delivery in await broker.get(5))
        sound = await read_ledger(broker_url, store_url)
        await broker.ack(again["e"])
        unsaved = await read_ledger(broker_url, store_url)

    assert sound == Ledger(**{**SOUND, "redelivered": sound.redelivered})
    assert sound.redelivered >= 1
    assert (unsaved.acked, unsaved.waiting, unsaved.acked_unsaved, unsaved.lost) == (3, 2, 1, 0)


async def test_no_database_is_an_error(tmp_path: Path) -> None:
    """Reading the ledger of a missing file creates nothing."""
    url = f"sqlite:{tmp_path / 'mayhem.db'}"
    with pytest.raises(StorageError, match=r"mayhem\.db: cannot be read"):
        await read_ledger(url, url)

    assert list(tmp_path.iterdir()) == []


async def test_foreign_file_is_an_error(tmp_path: Path) -> None:
    """A file that is not a database is named."""
    path = tmp_path / "text"
    path.write_text("text" * 1000)
    with pytest.raises(StorageError, match="text: "):
        await read_ledger(f"sqlite:{path}", f"sqlite:{path}")


@pytest.mark.parametrize("urls", [("memory:", "sqlite:a.db"), ("sqlite:a.db", "memory:")])
async def test_memory_has_no_books(urls: tuple[str, str]) -> None:
    """Memory has no ledger that another process could read."""
    with pytest.raises(SettingsError, match="memory:"):
        await read_ledger(*urls)


async def test_no_queue_is_an_error(nats_server: Server) -> None:
    """A NATS server without the queue has no ledger, and none is created."""
    with pytest.raises(StorageError, match="no ledger to read: stream not found"):
        await read_ledger(nats_server.url("nowhere"), "sqlite:a.db")
