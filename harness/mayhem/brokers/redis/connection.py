"""The connection to a Redis server, and its errors as the service's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ...errors import StorageBrokenError, StorageUnavailableError
from ...operations.metrics import record_storage_error
from ..broker_url import BrokerUrl

# A server that does not answer within this time is unavailable.
ANSWER_S = 5.0
# A script takes the server some 30 µs, so more connections would only move the queue into the server.
CONNECTIONS = 32

# Transient errors: the server is starting, full or busy, or a replica becomes the master.
PASSING = (
    exceptions.BusyLoadingError,
    exceptions.ClusterDownError,
    exceptions.ConnectionError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.TimeoutError,
    exceptions.TryAgainError,
)
PASSING_CODES = ("BUSY", "MISCONF", "NOREPLICAS")
# The library derives some of these from `ConnectionError`.
REFUSALS = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)


@asynccontextmanager
async def connected(address: BrokerUrl) -> AsyncIterator[Redis]:
    """A client of the server at *address*; it connects on first use, and reconnects by itself."""
    pool = BlockingConnectionPool.from_url(
        address.url,
        max_connections=CONNECTIONS,
        timeout=ANSWER_S,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=ANSWER_S,
        # A retry by the library could execute a script twice.
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        client_name=address.queue,
    )
    try:
        yield Redis(connection_pool=pool)
    finally:
        await pool.disconnect()


@contextmanager
def translated(address: BrokerUrl) -> Iterator[None]:
    """Raise the library's errors as the service's."""
    try:
        yield
    except exceptions.RedisError as exc:
        record_storage_error("redis")
        passing = isinstance(exc, PASSING) or str(exc).startswith(PASSING_CODES)
        if passing and not isinstance(exc, REFUSALS):
            raise StorageUnavailableError(f"{address.shown}: {exc or type(exc).__name__}") from exc
        advice = "; check the user and password in the URL" if isinstance(exc, REFUSALS) else ""
        raise StorageBrokenError(f"{address.shown}: {str(exc).rstrip('.')}{advice}") from exc
