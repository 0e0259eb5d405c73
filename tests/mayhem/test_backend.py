"""Brokers and stores are chosen by URL; a wrong one is one clear line without a password."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.mayhem import backend
from harness.mayhem.brokers.broker_url import BrokerUrl
from harness.mayhem.database import Database, StatementResult, shared
from harness.mayhem.errors import SettingsError, StorageError
from harness.mayhem.message import Message


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "rediss://me:s3cret@host",
            "expected a URL with one of memory:, nats:, redis:, sqlite:, got 'rediss://...@host';"
            ' did you mean "redis:"?',
        ),
        (
            "mayhem.db",
            "expected a URL with one of memory:, nats:, redis:, sqlite:, got 'mayhem.db'",
        ),
        ("sqlite:", "expected sqlite:PATH, got 'sqlite:'"),
        ("redis://", "the broker's URL names no host: expected redis://HOST:PORT"),
        ("nats://h:port", "the broker's URL cannot be read: Port could not be cast"),
        ("nats://h:1?queue=a.b", "nats://h:1: a queue's name has letters, digits, _ and -, got 'a.b'"),
        ("redis://h:1/0?que=a", "redis://h:1/0: expected ?queue=NAME, got 'que'"),
    ],
)
async def test_wrong_urls(url: str, message: str) -> None:
    """The message says what was expected and what was given."""
    with pytest.raises(SettingsError) as raised:
        async with backend.broker(url, lease_s=1):
            pass

    assert str(raised.value).startswith(message)
    assert "s3cret" not in str(raised.value)


def test_an_address_keeps_its_password_to_itself() -> None:
    """The text for errors has neither the password nor the queue; the URL has the password."""
    address = BrokerUrl.from_url("redis://me:s3cret@h:1/2?queue=q")

    assert (address.url, address.shown, address.queue) == ("redis://me:s3cret@h:1/2", "redis://h:1/2", "q")
    assert "s3cret" not in repr(address)
    assert BrokerUrl.from_url("nats://h").queue == "mayhem"


@pytest.mark.parametrize(
    ("package", "url"), [("nats", "nats://127.0.0.1:1"), ("redis", "redis://127.0.0.1:1")]
)
def test_a_missing_package_names_its_extra(package: str, url: str) -> None:
    """Without the client library, one error says what to install."""
    program = f"""
import sys
sys.modules[{package!r}] = None
from harness.mayhem import backend
from harness.mayhem.errors import SettingsError
try:
    backend.broker({url!r}, lease_s=1)
except SettingsError as exc:
    print(exc)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert f"pip install 'asyncio-harness[{package}]'" in ended.stdout


async def test_broker_and_store_of_one_file_share_its_thread(tmp_path: Path) -> None:
    """All users of a file share one thread, which ends with the last of them."""
    url = f"sqlite:{tmp_path / 'a.db'}"

    def threads() -> int:
        return sum(thread.name == "mayhem-database" for thread in threading.enumerate())

    async with backend.broker(url, lease_s=1) as broker:
        async with backend.store(url) as store, backend.broker(url, lease_s=1) as other:
            await broker.put(Message("a", b"{}", 1.5))
            (delivery,) = await other.get(1)
            await store.save("a", "web-1")
            assert threads() == 1
        await broker.ack(delivery)

        assert (await broker.pending(), threads()) == (0, 1)
    for thread in threading.enumerate():
        if thread.name == "mayhem-database":
            thread.join(10)
    assert threads() == 0


async def test_two_open_a_file_at_the_same_time(tmp_path: Path) -> None:
    """Concurrent users wait for the first to open the file, and share it."""
    entered = asyncio.Barrier(5)

    async def use() -> Database:
        async with shared(tmp_path / "a.db") as database:
            await entered.wait()
            return database

    assert len({id(database) for database in await asyncio.gather(*(use() for _ in range(5)))}) == 1


async def test_a_file_that_cannot_be_opened_fails_for_everybody(tmp_path: Path) -> None:
    """Every concurrent user gets the error, and a later one may succeed."""
    folder = tmp_path / "nowhere"

    async def use() -> StatementResult:
        async with shared(folder / "a.db") as database:
            return await database.execute("SELECT 1")

    for answer in await asyncio.gather(use(), use(), return_exceptions=True):
        assert isinstance(answer, StorageError)
    folder.mkdir()
    assert (await use()).rows == [(1,)]
