"""The connection to a NATS server, and its errors as the service's."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager

from nats import errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js import errors as js_errors

from ...errors import StorageBrokenError, StorageUnavailableError
from ...operations.metrics import record_storage_error
from ..broker_url import BrokerUrl

log = logging.getLogger(__name__)

# A server that does not answer within this time is unavailable.
ANSWER_S = 5.0
RECONNECT_S = 0.5

# Responses to a delivery.
ACK, NAK, EXTEND = b"+ACK", b"-NAK", b"+WPI"

# Transient errors.
PASSING = (
    errors.TimeoutError,
    errors.NoRespondersError,
    errors.ConnectionClosedError,
    errors.ConnectionReconnectingError,
    errors.OutboundBufferLimitError,
    errors.StaleConnectionError,
    errors.NoServersError,
    js_errors.NoStreamResponseError,
    js_errors.NotFoundError,  # the streams were deleted: the next pull creates them
    js_errors.ServiceUnavailableError,
    js_errors.ServerError,
    OSError,
)


class NatsConnection:
    """A connected client of one server; it reconnects by itself."""

    def __init__(self, client: Client, address: BrokerUrl) -> None:
        self.client = client
        self.address = address
        self.answer_s = ANSWER_S
        self.js: JetStreamContext = client.jetstream(timeout=ANSWER_S)
        self._last_ack = ""  # token of the last delivery that was acked since the last `flush_acks`

    def translated(self) -> AbstractContextManager[None]:
        """Raise the library's errors as the service's."""
        return _translated(self.address)

    def check_connected(self) -> None:
        """Raise at once while disconnected: the client would buffer the message, and wait."""
        if self.client.is_connected:
            return
        if self.client.last_error is not None and _is_refusal(self.client.last_error):
            raise self.client.last_error
        raise errors.ConnectionReconnectingError

    async def request(self, subject: str, payload: bytes = b"") -> bytes:
        """Return the server's answer."""
        return bytes((await self.client.request(subject, payload, timeout=self.answer_s)).data)

    async def respond(self, token: str, response: bytes) -> None:
        """Respond to a delivery; while disconnected, as soon as the client has reconnected.

        A response may be lost: the message is then delivered again when its lease ends.
        """
        try:
            await self.client.publish(token, response)
        except (errors.Error, OSError) as exc:
            log.warning("response not sent: %s", exc, extra={"token": token})
        else:
            if response == ACK:
                self._last_ack = token

    async def flush_acks(self) -> None:
        """Return when the server has processed every ack so far.

        The server does not answer acks, but processes them in order: once it has answered a request to ack
        the last message again, all acks before it are processed.
        """
        if self._last_ack:
            await self.request(self._last_ack, ACK)
            self._last_ack = ""


@asynccontextmanager
async def connected(
    address: BrokerUrl, *, on_loss: Callable[[], None] = lambda: None
) -> AsyncIterator[NatsConnection]:
    """Connect to the server at *address*.

    Args:
        on_loss: Called when the connection is lost.

    Raises:
        StorageError: The server does not answer, or refuses.
    """
    client = Client()
    why: Exception = errors.NoServersError()

    async def failed(error: Exception) -> None:
        nonlocal why
        why = error
        log.info("nats: %s", error, extra={"broker": address.shown})

    async def lost() -> None:
        on_loss()

    try:
        with _translated(address):
            try:
                await client.connect(
                    address.url,
                    name=address.queue,
                    connect_timeout=ANSWER_S,  # type: ignore[arg-type] # it is passed to wait_for
                    reconnect_time_wait=RECONNECT_S,  # type: ignore[arg-type] # it is passed to sleep
                    error_cb=failed,
                    disconnected_cb=lost,
                    # The caller handles the first failure ...
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                )
            except errors.NoServersError:
                raise why from None
        # ... and the client all later ones.
        client.options.update(allow_reconnect=True, max_reconnect_attempts=-1)
        yield NatsConnection(client, address)
    finally:
        await client.close()


@contextmanager
def _translated(address: BrokerUrl) -> Iterator[None]:
    try:
        yield
    except (errors.Error, OSError) as exc:
        record_storage_error("nats")
        what = f"{address.shown}: {str(exc).removeprefix('nats: ') or type(exc).__name__}"
        if _is_refusal(exc):
            raise StorageBrokenError(f"{what}; check the user and password in the URL") from exc
        raise (StorageUnavailableError if isinstance(exc, PASSING) else StorageBrokenError)(what) from exc


def _is_refusal(error: BaseException) -> bool:
    # The client has no type for a refusal, only the server's text.
    return isinstance(error, errors.AuthorizationError) or "authorization" in str(error).lower()
