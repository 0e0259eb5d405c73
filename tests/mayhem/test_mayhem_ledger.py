"""The ledger tells what became of every message, and misses what vanished."""

from __future__ import annotations

import pytest

from harness.mayhem.brokers.sqlite import SqliteBroker
from harness.mayhem.database import Database
from harness.mayhem.errors import StorageError
from harness.mayhem.ledger import Ledger, read_ledger
from harness.mayhem.message import Message
from harness.mayhem.stores.sqlite import SqliteStore

from .broker_conformance import LEASE_S, ManualClock


@pytest.fixture
async def database(tmp_path):
    """Six messages: a and b acked (b saved twice), c dead, d handed back, e expired and out again, f new."""
    clock = ManualClock()
    async with Database(tmp_path / "mayhem.db") as database:
        broker, store = SqliteBroker(database, lease_s=LEASE_S, clock=clock), SqliteStore(database)
        await broker.create()
        await store.create()
        for message_id in "abcde":
            await broker.put(Message(message_id, "{}", 1.5))
        a, b, c, d, _ = sorted(await broker.get(5), key=lambda delivery: delivery.message.id)
        for saved in (a, b, b):
            await store.save(saved.message.id, "web-1")
        await broker.ack(a)
        await broker.ack(b)
        await broker.dead_letter(c, reason="poison")
        await broker.nack(d, delay_s=LEASE_S * 10)
        clock.advance(LEASE_S + 1)
        await broker.get(5)
        await broker.put(Message("f", "{}", 1.5))
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


async def test_every_end_is_counted(database):
    """Each figure counts its messages, while the service has the file open."""
    assert read_ledger(database.path) == Ledger(**SOUND)


@pytest.mark.parametrize(
    ("damage", "changed"),
    [
        ("DELETE FROM message WHERE id = 'f'", {"lost": 1, "waiting": 2}),
        ("UPDATE message SET state = 'gone' WHERE id = 'f'", {"lost": 1, "waiting": 2}),
        ("DELETE FROM saved WHERE message_id = 'a'", {"acked_unsaved": 1}),
    ],
)
async def test_what_vanished_is_missed(damage, changed, database):
    """A row that is gone or in no known state is lost; an ack without its save is found out."""
    await database.execute(damage)

    assert read_ledger(database.path) == Ledger(**{**SOUND, **changed})


def test_no_database_is_an_error(tmp_path):
    """Asking for the ledger of nothing creates nothing."""
    with pytest.raises(StorageError, match="no ledger to read"):
        read_ledger(tmp_path / "mayhem.db")

    assert list(tmp_path.iterdir()) == []


def test_foreign_file_is_an_error(tmp_path):
    """A file that is no database is named."""
    path = tmp_path / "text"
    path.write_text("text" * 1000)
    with pytest.raises(StorageError, match="text: "):
        read_ledger(path)
