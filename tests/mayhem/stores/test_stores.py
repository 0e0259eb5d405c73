"""All stores pass the conformance suite, and its checks find faulty stores."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from harness.mayhem import backend
from harness.mayhem.database import shared
from harness.mayhem.errors import SettingsError
from harness.mayhem.stores import memory, sqlite
from harness.testing import store as checks
from harness.testing.store import STORE_CHECKS, StoreBench

TABLE = "SELECT message_id, host, times FROM saved"


@asynccontextmanager
async def in_memory(url: str) -> AsyncIterator[Any]:
    async with memory.connect(url) as store:

        async def kept() -> dict[str, tuple[str, int]]:
            return {key: (host, store.times[key]) for key, host in store.hosts.items()}

        yield StoreBench(store, kept)


@asynccontextmanager
async def in_file(url: str) -> AsyncIterator[Any]:
    async with backend.store(url) as store:

        async def kept() -> dict[str, tuple[str, int]]:
            with closing(sqlite3.connect(url.removeprefix("sqlite:"))) as other:
                return {key: (host, times) for key, host, times in other.execute(TABLE)}

        yield StoreBench(store, kept)


@asynccontextmanager
async def in_postgres(url: str) -> AsyncIterator[Any]:
    asyncpg = pytest.importorskip("asyncpg")
    async with backend.store(url) as store:

        async def kept() -> dict[str, tuple[str, int]]:
            other = await asyncpg.connect(url)
            try:
                return {key: (host, times) for key, host, times in await other.fetch(TABLE)}
            finally:
                await other.close()

        yield StoreBench(store, kept)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    """Make a bench with its own database."""
    match request.param:
        case "memory":
            return lambda: in_memory("memory:")
        case "sqlite":
            return lambda: in_file(f"sqlite:{tmp_path / 'store.db'}")
        case _:
            url = request.getfixturevalue("database_url")
            return lambda: in_postgres(url)


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_conformance(check: Callable[[Any], Awaitable[None]], make: Callable[..., Any]) -> None:
    """Every store passes every check."""
    await check(make)


class Flawed:
    """A store with a single flaw."""

    def __init__(self) -> None:
        self.table: dict[Any, Any] = {}
        self.broken = False

    async def save(self, message_id: str, host: str) -> None:
        await asyncio.sleep(0)
        _, times = self.table.get(message_id, (host, 0))
        self.table[message_id] = (host if times == 0 else self.table[message_id][0], times + 1)

    async def kept(self) -> dict[Any, Any] | dict[str, tuple[str, int]]:
        return dict(self.table)


class Later(Flawed):
    """Its save returns before it has saved."""

    async def save(self, message_id: str, host: str) -> None:
        self.later = asyncio.get_running_loop().call_later(
            60, lambda: self.table.update({message_id: (host, 1)})
        )


class LastHostWins(Flawed):
    async def save(self, message_id: str, host: str) -> None:
        await super().save(message_id, host)
        self.table[message_id] = (host, self.table[message_id][1])


class LosesUpdates(Flawed):
    """Its save reads, waits, and writes."""

    async def save(self, message_id: str, host: str) -> None:
        _, times = self.table.get(message_id, (host, 0))
        await asyncio.sleep(0)
        self.table[message_id] = (host, times + 1)


class MixesUp(Flawed):
    """Concurrent saves share one variable for the host."""

    async def save(self, message_id: str, host: str) -> None:
        self.host = host
        await asyncio.sleep(0)
        self.table[message_id] = (self.host, 1)


class PoisonedByCancel(Flawed):
    """A cancelled save breaks all later ones."""

    async def save(self, message_id: str, host: str) -> None:
        try:
            await super().save(message_id, "another's" if self.broken else host)
        except asyncio.CancelledError:
            self.broken = True
            raise


class FoldsCase(Flawed):
    async def save(self, message_id: str, host: str) -> None:
        await super().save(message_id.lower(), host)


class LetsErrorsOut(Flawed):
    async def save(self, message_id: str, host: str) -> None:
        message_id.encode()
        await super().save(message_id, host)


@pytest.mark.parametrize(
    ("flawed", "check", "error"),
    [
        (Later, checks.what_save_returned_from_is_kept, AssertionError),
        (LastHostWins, checks.saving_again_only_counts, AssertionError),
        (LosesUpdates, checks.the_same_id_may_be_saved_at_once, AssertionError),
        (MixesUp, checks.many_may_be_saved_at_once, AssertionError),
        (PoisonedByCancel, checks.a_cancelled_save_leaves_the_store_usable, AssertionError),
        (FoldsCase, checks.unusual_text_is_kept_as_it_is, AssertionError),
        (LetsErrorsOut, checks.what_cannot_be_kept_is_malformed, UnicodeEncodeError),
    ],
)
async def test_the_checks_find_what_they_are_for(
    flawed: Any,
    check: Callable[[Any], Awaitable[None]],
    error: type[Exception],
) -> None:
    """A store with one flaw fails exactly the check for it."""

    @asynccontextmanager
    async def make() -> AsyncIterator[Any]:
        store = flawed()
        yield StoreBench(store, store.kept)

    with pytest.raises(error):
        await check(make)


async def test_every_check_passes_what_is_right() -> None:
    """Control: the same store without a flaw passes all checks."""

    @asynccontextmanager
    async def make() -> AsyncIterator[Any]:
        store = Flawed()
        yield StoreBench(store, store.kept)

    for check in STORE_CHECKS:
        await check(make)


async def test_sqlite_store_shares_its_file(tmp_path: Path) -> None:
    """Two stores of the same file share one thread and one connection."""
    url = f"sqlite:{tmp_path / 'a.db'}"
    async with sqlite.connect(url) as first, sqlite.connect(url) as second, shared(tmp_path / "a.db") as db:
        await first.save("m", "web-1")
        await second.save("m", "web-1")

        assert (await db.execute(TABLE)).rows == [("m", "web-1", 2)]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:", "expected sqlite:PATH"),
        ("postgresql://h:99999/d", "expected postgresql://USER:PASSWORD@HOST"),
    ],
)
async def test_url_that_says_nothing_is_a_wrong_setting(url: str, said: str) -> None:
    """An invalid URL is reported before anything is started."""
    with pytest.raises(SettingsError, match=said):
        async with backend.store(url):
            pass


async def test_missing_client_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where asyncpg is not installed, one error says what to install."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    monkeypatch.delitem(sys.modules, "harness.mayhem.stores.postgres", raising=False)

    with pytest.raises(SettingsError, match=r"pip install 'asyncio-harness\[postgres\]'"):
        backend.store("postgresql://127.0.0.1/mayhem")
