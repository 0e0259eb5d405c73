"""The store on a real PostgreSQL server that is down, slow, full or refuses."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.mayhem.brokers.memory.broker import MemoryBroker
from harness.mayhem.errors import StorageBrokenError, StorageUnavailableError
from harness.mayhem.ledger import read_ledger
from harness.mayhem.message import Delivery, Message, RestartEvent
from harness.mayhem.messages import policy
from harness.mayhem.messages.circuit import CircuitLimits, Circuits
from harness.mayhem.messages.consumer import Consumer
from harness.mayhem.operations.failure_ledger import FailureLedger
from harness.mayhem.stores.postgres import PostgresStore
from tests.mayhem.support.postgres_server import PASSWORD, SMALL_MB, PostgresServer, new_database
from tests.mayhem.support.stage import staged

asyncpg = pytest.importorskip("asyncpg")
from harness.mayhem.stores import postgres  # noqa: E402 - which needs asyncpg

PATIENCE_S = 30
# Far more than a save takes, far less than a test may.
LIMIT_S = 0.3


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "COMMAND_S", LIMIT_S)
    monkeypatch.setattr(postgres, "CONNECT_S", LIMIT_S * 10)
    monkeypatch.setattr(postgres, "CLOSE_S", LIMIT_S)


@asynccontextmanager
async def session(url: str) -> AsyncIterator[Any]:
    """Another session on the same database."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close(timeout=PATIENCE_S)


async def save_until_it_works(
    store: PostgresStore, message_id: str, refusals: list[StorageUnavailableError]
) -> None:
    """Save, and retry while the store is unavailable, as a consumer does."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await store.save(message_id, "web-1")
            except StorageUnavailableError as error:
                refusals.append(error)
                await asyncio.sleep(0.01)
            else:
                return


async def fill_last_page(store: PostgresStore) -> None:
    """Save until the table's last page is full."""
    for number in range(10_000):
        await store.save(f"m-{number}", "web-1")


async def test_services_that_start_at_once_make_one_table(database_url: str) -> None:
    """Twelve stores that find no table at the same time all connect."""
    async with asyncio.timeout(PATIENCE_S):
        stores = [postgres.connect(database_url) for _ in range(12)]
        opened = await asyncio.gather(*(store.__aenter__() for store in stores))
        for each in opened:
            await each.save("m", "web-1")
        for store in stores:
            await store.__aexit__(None, None, None)

    assert await postgres.times_saved(database_url) == {"m": 12}


async def test_server_that_is_down_at_the_start(postgres_server: PostgresServer, database_url: str) -> None:
    """A server that is down is unavailable, reported without the password; later it works."""
    with postgres_server.stopped():
        with pytest.raises(StorageUnavailableError) as raised:
            async with postgres.connect(database_url):
                pass
        with pytest.raises(StorageUnavailableError):
            await postgres.times_saved(database_url)
    async with postgres.connect(database_url) as store:
        await store.save("m", "web-1")

    assert f"127.0.0.1:{postgres_server.port}" in str(raised.value)
    assert "Connect call failed" in str(raised.value)
    assert PASSWORD.replace(" ", "%20") not in str(raised.value)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_server_that_restarts_under_load(
    how: signal.Signals, postgres_server: PostgresServer, database_url: str
) -> None:
    """During a restart, saves fail as unavailable; afterwards they work, and no save is lost."""
    async with postgres.connect(database_url) as store, asyncio.timeout(PATIENCE_S):
        back = asyncio.Event()
        returned: set[str] = set()
        refusals: list[StorageUnavailableError] = []

        async def save_on(worker: int) -> None:
            after = 0
            for number in itertools.count():
                await save_until_it_works(store, f"{worker}-{number}", refusals)
                returned.add(f"{worker}-{number}")
                after += back.is_set()
                if after == 5:
                    return

        async with asyncio.TaskGroup() as load:
            for worker in range(20):
                load.create_task(save_on(worker))
            while len(returned) < 100:
                await asyncio.sleep(0)
            with postgres_server.stopped(how):
                while len(refusals) < 20:
                    await asyncio.sleep(0.01)
            back.set()

    times = await postgres.times_saved(database_url)
    assert returned == set(times)


async def test_table_that_somebody_holds(short_limits: None, database_url: str) -> None:
    """A save that waits too long fails as unavailable, also in the queue for a connection."""
    async with postgres.connect(database_url) as store, session(database_url) as other:
        async with other.transaction():
            await other.execute("LOCK TABLE saved")
            waiting = [store.save(f"m-{n}", "web-1") for n in range(postgres.MAX_CONNECTIONS * 40)]
            async with asyncio.timeout(LIMIT_S * 20):
                results = await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(save_until_it_works(store, f"m-{n}", []) for n in range(20)))

    assert {type(result) for result in results} == {StorageUnavailableError}
    assert set((await postgres.times_saved(database_url)).values()) == {1}


async def test_server_that_is_stopped_in_the_middle(
    short_limits: None, postgres_server: PostgresServer, database_url: str
) -> None:
    """A frozen server blocks neither a save nor the exit."""
    async with asyncio.timeout(PATIENCE_S):
        async with postgres.connect(database_url) as store, session(postgres_server.socket_url) as other:
            await store.save("m", "web-1")
            query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'mayhem'"
            pids = [row["pid"] for row in await other.fetch(query)]
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            try:
                with pytest.raises(StorageUnavailableError):
                    await store.save("m", "web-1")
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
            await save_until_it_works(store, "n", [])

    assert "n" in await postgres.times_saved(database_url)


async def test_connection_that_is_out_of_step_is_not_used_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection in an unknown protocol state is replaced."""

    async def out_of_step(
        self: object, *args: int | str | tuple[str, str, float] | None, **kwargs: bool
    ) -> None:
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")

    async with postgres.connect(database_url) as store, session(database_url) as other:
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'mayhem'"
        before = await other.fetch(query)
        with monkeypatch.context() as patched:
            patched.setattr(asyncpg.Connection, "_execute", out_of_step)
            with pytest.raises(StorageUnavailableError, match="cannot switch to state"):
                await store.save("m", "web-1")
        await store.save("m", "web-1")

        assert set(await other.fetch(query)) - set(before)


async def test_cancelled_save_gives_its_connection_back(database_url: str) -> None:
    """A cancelled save leaves no connection with an unread answer."""
    async with postgres.connect(database_url) as store, session(database_url) as other:
        async with other.transaction():
            await other.execute("LOCK TABLE saved")
            held = [asyncio.create_task(store.save(f"m-{n}", "web-1")) for n in range(30)]
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            async with asyncio.timeout(PATIENCE_S):
                while await other.fetchval(waiting) < postgres.MAX_CONNECTIONS:
                    await asyncio.sleep(0)
            for task in held:
                task.cancel()
            await asyncio.wait(held)
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(store.save(f"n-{n}", f"web-{n}") for n in range(100)))

        assert all(task.cancelled() for task in held)
        kept = {row["message_id"]: row["host"] for row in await other.fetch("SELECT * FROM saved")}
        assert kept == {f"n-{n}": f"web-{n}" for n in range(100)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "wrong"}, "password authentication failed"),
        ({"user": "stranger"}, "password authentication failed"),
        ({"database": "nowhere"}, "does not exist"),
    ],
)
async def test_server_that_refuses(
    change: dict[str, str], said: str, postgres_server: PostgresServer
) -> None:
    """Refusals are permanent errors, without the password."""
    with pytest.raises(StorageBrokenError, match=said) as raised:
        async with postgres.connect(postgres_server.url(**change)):
            pass

    assert "check the user, its rights and the database" in str(raised.value)
    assert change.get("password", PASSWORD) not in str(raised.value).replace("password authentication", "")


async def test_user_without_rights(postgres_server: PostgresServer, database_url: str) -> None:
    """A user needs the right to write, but not to create tables."""
    async with postgres.connect(database_url) as store, session(database_url) as owner:
        await store.save("m", "web-1")
        await owner.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        try:
            url = database_url.replace(f"mayhem:{PASSWORD.replace(' ', '%20')}@", "guest:guest@")
            async with postgres.connect(url) as guest:
                with pytest.raises(StorageBrokenError, match="permission denied"):
                    await guest.save("n", "web-1")
                await owner.execute("GRANT SELECT, INSERT, UPDATE ON saved TO guest")
                await guest.save("n", "web-1")
        finally:
            await owner.execute("DROP OWNED BY guest; DROP ROLE guest")

        assert await owner.fetchval("SELECT count(*) FROM saved") == 2


async def test_database_that_became_read_only(database_url: str) -> None:
    """A read-only server, as after a fail-over, is unavailable."""
    async with session(database_url) as other:
        name = await other.fetchval("SELECT current_database()")
        async with postgres.connect(database_url):
            pass
        await other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        async with postgres.connect(database_url) as store:
            with pytest.raises(StorageUnavailableError, match="read-only"):
                await store.save("m", "web-1")
        await other.execute(f"SET default_transaction_read_only = off; ALTER DATABASE {name} RESET ALL")
        async with postgres.connect(database_url) as store:
            await store.save("m", "web-1")


async def test_too_many_connections(postgres_server: PostgresServer, database_url: str) -> None:
    """A server without free connections is unavailable until one is free."""
    async with asyncio.timeout(PATIENCE_S):
        taken: list[Any] = []
        try:
            with suppress(asyncpg.TooManyConnectionsError):
                while len(taken) < 100:
                    taken.append(await asyncpg.connect(database_url))
            with pytest.raises(StorageUnavailableError, match=r"too many clients|reserved"):
                async with postgres.connect(database_url):
                    pass
        finally:
            for connection in taken:
                await connection.close()
        async with postgres.connect(database_url) as store:
            await store.save("m", "web-1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
async def test_disk_that_is_full(postgres_server: PostgresServer) -> None:
    """A full disk makes the store unavailable until there is room."""
    async with session(postgres_server.socket_url) as other:
        await other.execute(f"CREATE TABLESPACE small LOCATION '{postgres_server.folder / 'small'}'")
        try:
            async with new_database(postgres_server, "TABLESPACE small") as url:
                async with postgres.connect(url) as store, session(url) as filler:
                    await store.save("m", "web-1")
                    await filler.execute(
                        "CREATE TABLE filler (text TEXT); ALTER TABLE filler ALTER text SET STORAGE EXTERNAL"
                    )
                    with suppress(asyncpg.DiskFullError):
                        for _ in range(SMALL_MB * 1024 // 7):
                            await filler.execute("INSERT INTO filler VALUES (repeat('x', 7000))")
                    with pytest.raises(StorageUnavailableError, match="No space left"):
                        await fill_last_page(store)
                    await filler.execute("DROP TABLE filler")
                    await filler.execute("CHECKPOINT")
                    await store.save("n", "web-1")

                times = await postgres.times_saved(url)
                assert {"m", "n"} <= set(times)
        finally:
            await other.execute("DROP TABLESPACE small")


class WatchedBroker(MemoryBroker):
    """Counts deliveries while `watching`."""

    watching = False
    handed_out = 0

    async def get(self, limit: int) -> Sequence[Delivery]:
        deliveries = await super().get(limit)
        self.handed_out += self.watching * len(deliveries)
        return deliveries


@pytest.mark.parametrize("gated", [pytest.param(True, marks=pytest.mark.long), False])
async def test_queue_outlives_the_database(
    gated: bool,
    postgres_server: PostgresServer,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While the server is down, nothing is pulled, and afterwards everything is saved.

    Without the gate, the control, the queue is pulled and handed back, on and on; but even so no message is
    laid aside for that.
    """
    monkeypatch.setattr(policy, "NACK_S", 0.05)
    monkeypatch.setattr(policy, "MAX_NACK_S", 0.2)
    messages, concurrency = 100, 5
    broker, failures = WatchedBroker(lease_s=PATIENCE_S), FailureLedger()
    circuits = Circuits(CircuitLimits(failures=3, pause_s=0.05, max_pause_s=0.2))

    def trials() -> int:
        return [record.getMessage() for record in caplog.records].count("circuit half-open")

    caplog.set_level(logging.INFO)
    for number in range(messages):
        await broker.put(Message(f"m-{number}", RestartEvent("web-1").to_body(), 1.5))
    async with (
        postgres.connect(database_url) as store,
        staged(broker, store=store, lease_s=PATIENCE_S, circuits=circuits, failures=failures) as stage,
        asyncio.timeout(PATIENCE_S),
        asyncio.TaskGroup() as group,
    ):
        gate = circuits.gate.admitted if gated else None
        consumer = Consumer(broker, stage.handle, concurrency=concurrency, gate=gate, failures=failures)
        with postgres_server.stopped():
            broker.watching = True
            group.create_task(consumer.run())
            while trials() < 3 if gated else broker.handed_out < messages:
                await asyncio.sleep(0.01)
            broker.watching = False
            allowed = 2 * concurrency + trials()
        while await broker.pending():
            await asyncio.sleep(0.01)
        consumer.drain()

    assert await broker.dead_letters() == []
    assert set(await postgres.times_saved(database_url)) == {f"m-{number}" for number in range(messages)}
    # The messages in flight, those of one more `get`, and the trials.
    assert (broker.handed_out <= allowed) == gated


async def test_table_of_somebody_else(database_url: str) -> None:
    """A table of that name with other columns is a permanent error."""
    async with session(database_url) as other:
        await other.execute("CREATE TABLE saved (id INTEGER)")
    async with postgres.connect(database_url) as store:
        with pytest.raises(StorageBrokenError, match="message_id"):
            await store.save("m", "web-1")
    with pytest.raises(StorageBrokenError):
        await postgres.times_saved(database_url)


async def test_what_was_saved_survives_a_crash(postgres_server: PostgresServer, database_url: str) -> None:
    """A commit is on the server's disk before `save` returns, whatever the database's default is."""
    async with session(database_url) as other:
        name = await other.fetchval("SELECT current_database()")
        await other.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    async with postgres.connect(database_url) as store:
        await store.save("m", "web-1")
        with postgres_server.stopped(signal.SIGQUIT):
            pass

    assert await postgres.times_saved(database_url) == {"m": 1}


async def test_service_outlives_its_database(
    postgres_server: PostgresServer, database_url: str, tmp_path: Path
) -> None:
    """A service whose database crashes saves everything and dead-letters nothing."""
    members = ("--broker", f"sqlite:{tmp_path / 'mayhem.db'}", "--store", database_url)
    events = 200
    command = [sys.executable, "-m", "harness.mayhem", "serve", *members, "--max-deliveries", "1"]
    command += ["--events", str(events), "--rate-per-s", "100", "--circuit-pause-s", "0.2"]
    serving = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(PATIENCE_S):
            told = b""
            while b"consuming" not in told:
                assert serving.stderr is not None
                told += await serving.stderr.readline()
            while not await postgres.times_saved(database_url):
                await asyncio.sleep(0.01)
            with postgres_server.stopped(signal.SIGQUIT):
                while b"circuit half-open" not in told:
                    assert serving.stderr is not None
                    told += await serving.stderr.readline()
            assert serving.stderr is not None
            rest, _ = await asyncio.gather(serving.stderr.read(), serving.wait())
    finally:
        if serving.returncode is None:
            serving.kill()
            await serving.wait()
    ledger = await read_ledger(members[1], members[3])

    assert serving.returncode == 0
    assert b"circuit closed" in rest
    assert (ledger.published, ledger.acked, ledger.dead_lettered) == (events, events, 0)
    assert (ledger.lost, ledger.acked_unsaved) == (0, 0)
    assert ledger.redelivered >= 10
