"""A store in a table of a PostgreSQL database."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import parse_qsl, urlsplit

import asyncpg

from ..errors import MalformedMessageError, SettingsError, StorageBrokenError, StorageUnavailableError
from ..operations.metrics import record_storage_error

log = logging.getLogger(__name__)

# A commit takes milliseconds; a longer one waits for a lock, or for a server that hangs.
COMMAND_S = 5.0
CONNECT_S = 5.0
CLOSE_S = 5.0
# Each connection is a server process; more of them do not commit faster.
MAX_CONNECTIONS = 10

SCHEMA = """
    CREATE TABLE IF NOT EXISTS saved (
        message_id TEXT PRIMARY KEY,
        host TEXT NOT NULL,
        saved_at DOUBLE PRECISION NOT NULL,  -- unix seconds, the first time
        times INTEGER NOT NULL
    )
"""
EXISTS = "SELECT to_regclass('saved') IS NOT NULL"
# Serialises services that start at once and would both create the table. The number is arbitrary, but fixed.
CREATING = "SELECT pg_advisory_xact_lock(7161938204415)"
SAVE = """
    INSERT INTO saved AS known (message_id, host, saved_at, times) VALUES ($1, $2, $3, 1)
    ON CONFLICT (message_id) DO UPDATE SET times = known.times + 1
"""

# SQLSTATE prefixes of errors that may pass: connection lost, deadlock, out of disk or connections, operator
# intervention (including startup and shutdown), I/O error.
PASSING = ("08", "40", "53", "55", "57", "58", "25006")
# SQLSTATE prefixes of errors caused by the values: invalid, or too long.
UNFIT = ("22", "54")


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[PostgresStore]:
    """The store in the database of *url*: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``.

    Raises:
        SettingsError: *url* cannot be parsed.
        StorageUnavailableError: The server does not answer now.
        StorageBrokenError: The server refuses the user, the database, or creating a missing table.
    """
    address = _address(url)
    with _translated(address):
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=MAX_CONNECTIONS,
            timeout=CONNECT_S,
            command_timeout=COMMAND_S,
            # A save must survive a power cut of the server, whatever the database's default is.
            server_settings={"application_name": "mayhem", "synchronous_commit": "on"},
            # A single statement leaves no state behind, and a reset would double the round trips.
            reset=_no_reset,
        )
    try:
        store = PostgresStore(pool, address)
        await store.create()
        yield store
    finally:
        await _close(pool, address)


async def times_saved(url: str) -> dict[str, int]:
    """Return how often each message was saved, by id; creates nothing.

    Raises:
        StorageUnavailableError: The server does not answer.
        StorageBrokenError: The server refuses, or has no such table.
    """
    with _translated(_address(url)):
        connection = await asyncpg.connect(url, timeout=CONNECT_S)
        try:
            return dict(await connection.fetch("SELECT message_id, times FROM saved"))
        finally:
            await connection.close(timeout=CLOSE_S)


class PostgresStore:
    """One row per message, however often it is saved.

    PostgreSQL accepts no id with a NUL character or of more than some 2,700 bytes: `MalformedMessageError`.
    """

    def __init__(self, pool: asyncpg.Pool, address: str) -> None:
        self._pool = pool
        self._address = address

    async def create(self) -> None:
        """Create the table if it does not exist."""
        with _translated(self._address):
            async with self._pool.acquire(timeout=COMMAND_S) as connection:
                # Checked first, because a user may write to the table without the right to create one.
                if await connection.fetchval(EXISTS):
                    return
                async with connection.transaction():
                    await connection.execute(CREATING)
                    await connection.execute(SCHEMA)

    async def save(self, message_id: str, host: str) -> None:
        with _translated(self._address):
            # The pool limits the statement's time; this limits the wait for a connection.
            async with self._pool.acquire(timeout=COMMAND_S) as connection:
                try:
                    await connection.execute(SAVE, message_id, host, time.time())
                except asyncpg.InternalClientError:
                    # The server closed the session during the statement: the protocol state is lost.
                    connection.terminate()
                    raise


async def _no_reset(connection: asyncpg.Connection) -> None:
    """Do nothing."""


async def _close(pool: asyncpg.Pool, address: str) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await pool.close()
    except TimeoutError:
        log.warning("connections not closed in time", extra={"store": address})  # asyncpg aborts them


def _address(url: str) -> str:
    """The host, port and database of *url*, without its password. A host may be a UNIX socket's folder."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        host = parts.hostname or options.get("host", "localhost")
        port = parts.port or options.get("port", 5432)
    except ValueError as exc:
        raise SettingsError(f"expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE, {exc}") from None
    return f"postgresql://{host}:{port}{parts.path}"


@contextmanager
def _translated(address: str) -> Iterator[None]:
    try:
        yield
    except asyncpg.ClientConfigurationError as exc:
        raise SettingsError(f"{address}: {exc}") from exc
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as exc:
        raise _error(exc, address) from exc


def _error(exc: Exception, address: str) -> Exception:
    what = f"{address}: {str(exc) or type(exc).__name__}"
    code = getattr(exc, "sqlstate", None) or ""
    if isinstance(exc, asyncpg.DataError) or code.startswith(UNFIT):
        return MalformedMessageError(f"{what}: PostgreSQL cannot store this id or host")
    record_storage_error("postgresql")
    if isinstance(exc, asyncpg.PostgresError) and not code.startswith(PASSING):
        return StorageBrokenError(f"{what}: check the user, its rights and the database")
    return StorageUnavailableError(what)
