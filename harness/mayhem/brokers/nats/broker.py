"""A broker in NATS JetStream: a work queue, a stream of what became of its messages, and one of dead letters.

JetStream hands out and counts, but takes any acknowledgement from anybody, however late. So the word that
counts is a record in the second stream, one subject per message. It is published on condition that the record
before it is the one which this delivery knows: a claim by whoever is handed a message again, or a settlement.
Of two consumers who believe that they hold a message only one can write the next record. The server's own
acknowledgement only follows; if it gets lost, the message comes again, and whoever is handed it reads in the
record that it is settled.

The subjects are a contract with publishers in other processes; docs/brokers.md describes them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ...cancellation import take_or_undo
from ...errors import (
    LeaseLostError,
    OversizedMessageError,
    SettingsError,
    StorageBrokenError,
    StorageUnavailableError,
)
from ...message import DeadLettered, Delivery, Message
from ...operations.metrics import record_storage_error
from ..broker_url import BrokerUrl

try:
    from nats import errors
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription
    from nats.js import JetStreamContext
    from nats.js import errors as js_errors
    from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig
except ImportError as missing:
    raise SettingsError(
        "the broker nats: needs the package nats-py: pip install 'asyncio-harness[nats]'"
    ) from missing

log = logging.getLogger(__name__)

# For a message's id to be known and its record to be kept. Longer than anybody tries to publish again; an id
# takes the server some hundred bytes.
KEPT_S = 3600
# A server that answers nothing for so long is away.
ANSWER_S = 5.0
RECONNECT_S = 0.5
# How long one wait for messages lasts, and the part of a lease which that may be. A message may come at its
# very end, but its lease is taken to begin with the wait: see `_InFlight`.
PULL_S = 1.0
PULL_LEASE_SHARE = 0.25
# Of a message's greatest size, what is kept for its id and headers, and the reason if it is laid aside.
ROOM_BYTES = 16_384
REASON_CHARS = 500

# The code of the server's refusal when a record is not the next one.
WRONG_LAST_SEQUENCE = 10071
ACK, NAK, EXTEND = b"+ACK", b"-NAK", b"+WPI"

PASSING = (
    errors.TimeoutError,
    errors.NoRespondersError,
    errors.ConnectionClosedError,
    errors.ConnectionReconnectingError,
    errors.OutboundBufferLimitError,
    errors.StaleConnectionError,
    errors.NoServersError,
    js_errors.NoStreamResponseError,
    js_errors.NotFoundError,  # somebody deleted the streams: the next wait for messages creates them
    js_errors.ServiceUnavailableError,
    js_errors.ServerError,
    OSError,
)


@asynccontextmanager
async def connect(url: str, *, lease_s: float) -> AsyncIterator[NatsBroker]:
    """The broker that *url* names: ``nats://USER:PASSWORD@HOST:PORT?queue=NAME``.

    Raises:
        SettingsError: The URL is wrong.
        StorageError: The server does not answer, or refuses.
    """
    address = BrokerUrl.from_url(url)
    broker: NatsBroker | None = None

    def lost() -> None:
        if broker is not None:
            broker.disconnected()

    async with connected(address, on_loss=lost) as client:
        broker = NatsBroker(client, address, lease_s=lease_s)
        await broker.open()
        try:
            yield broker
        finally:
            await broker.close()


@asynccontextmanager
async def connected(
    address: BrokerUrl, *, on_loss: Callable[[], None] = lambda: None
) -> AsyncIterator[Client]:
    """A client of the server there; once connected, it connects again by itself whenever it has to.

    Args:
        on_loss: Called when the connection is lost.
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
        with translated(address):
            try:
                await client.connect(
                    address.url,
                    name=address.queue,
                    connect_timeout=ANSWER_S,  # type: ignore[arg-type] # it is given to wait_for
                    reconnect_time_wait=RECONNECT_S,  # type: ignore[arg-type] # and this to sleep
                    error_cb=failed,
                    disconnected_cb=lost,
                    # The first failure is the caller's affair ...
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                )
            except errors.NoServersError:
                raise why from None
        # ... and all later ones the client's.
        client.options.update(allow_reconnect=True, max_reconnect_attempts=-1)
        yield client
    finally:
        await client.close()


@dataclass(frozen=True, slots=True)
class Names:
    """The streams and subjects of a queue."""

    queue: str  # the stream of messages

    @property
    def subject(self) -> str:
        return f"{self.queue}.message"

    @property
    def records(self) -> str:
        return f"{self.queue}_records"

    def record(self, number: str) -> str:
        """The subject for the record of the message with that number in its stream; ``*`` for all."""
        return f"{self.queue}.record.{number}"

    @property
    def dead(self) -> str:
        return f"{self.queue}_dead"

    @property
    def dead_subject(self) -> str:
        return f"{self.queue}.dead"


@dataclass(slots=True)
class _InFlight:
    """What is known of a delivery that was handed out, until it is settled."""

    # By this process's clock the lease ends a lease after this. It may last longer at the server, never less:
    # the server was asked at that time, and its answer came later.
    since_s: float
    sequence: int  # of the message in its stream
    revision: int = 0  # of the record this delivery knows; 0 for none
    nacks: int = 0


@dataclass(slots=True)
class _Pull:
    """One wait for messages."""

    limit: int
    inbox: str
    since_s: float
    over: asyncio.Future[None]
    messages: list[Msg] = field(default_factory=list)


class NatsBroker:
    """Hands out the messages of a work queue, by pulling."""

    system = "nats"

    def __init__(self, client: Client, address: BrokerUrl, *, lease_s: float) -> None:
        self._client = client
        self._js: JetStreamContext = client.jetstream(timeout=ANSWER_S)
        self._address = address
        self._names = Names(address.queue)
        self._lease_s = lease_s
        self._held: dict[str, _InFlight] = {}  # by token
        self._inbox = client.new_inbox()
        self._arriving: Subscription | None = None
        self._pulls = 0
        self._pull: _Pull | None = None
        self._one_pull = asyncio.Lock()
        self._complete = False  # whether streams and consumer are there, as far as is known
        self._last_settled = ""
        self._draining = False

    async def open(self) -> None:
        """Create what is not there yet, and listen."""
        with translated(self._address):
            # Without JetStream nobody would ever answer.
            try:
                await self._js.account_info()
            except (errors.NoRespondersError, js_errors.ServiceUnavailableError) as exc:
                raise StorageBrokenError(
                    f"{self._address.shown}: JetStream is not enabled; start the server with -js"
                ) from exc
            await self._create()
            # Without a limit: the client would drop what is too much, and it is bounded by what is asked for.
            self._arriving = await self._client.subscribe(
                f"{self._inbox}.*", cb=self._arrived, pending_bytes_limit=0
            )

    async def close(self) -> None:
        """Hand back what is still on its way here."""
        self.drain()
        if self._arriving is not None and self._client.is_connected:
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._arriving.drain()  # type: ignore[no-untyped-call]
            except (errors.Error, OSError) as exc:
                log.warning("messages on their way come again when their leases end: %s", exc)

    def disconnected(self) -> None:
        """What was asked for will not come over this connection any more."""
        if self._pull is not None and not self._pull.over.done():
            self._pull.over.set_exception(errors.ConnectionReconnectingError())

    async def put(self, message: Message) -> None:
        headers = _native(message)
        size, limit = len(message.body) + _bytes(headers), self._client.max_payload - ROOM_BYTES
        if size > limit:  # what the server has to refuse costs the connection
            raise OversizedMessageError(
                f"{self._address.shown}: a message and its headers may have {limit} bytes, got {size}"
                " (the server's max_payload says how many)"
            )
        with translated(self._address):
            self._check_connected()
            await self._js.publish(self._names.subject, message.body, headers=headers)

    async def get(self, limit: int) -> Sequence[Delivery]:
        async with self._one_pull:
            while not self._draining:
                pull = await self._find(limit)
                if pull.messages and (deliveries := await take_or_undo(self._hold(pull), self._unhold)):
                    return deliveries
            return []

    async def ack(self, delivery: Delivery) -> None:
        await self._settle(delivery, "acked")
        await self._tell(delivery.token, ACK)

    async def nack(self, delivery: Delivery, *, delay_s: float) -> None:
        await self._settle(delivery, "waiting", nacks=1)
        delay = json.dumps({"delay": round(delay_s * 1e9)}).encode()
        await self._tell(delivery.token, NAK + b" " + delay if delay_s > 0 else NAK)

    async def extend(self, delivery: Delivery) -> None:
        held = self._held.get(delivery.token)
        now_s = time.monotonic()
        if held is not None and now_s < held.since_s + self._lease_s:
            with translated(self._address):
                self._check_connected()
                await self._client.request(delivery.token, EXTEND, timeout=ANSWER_S)
            # Only an extension that was answered in time came in time: after that, the message may be on its
            # way to somebody else.
            if time.monotonic() < held.since_s + self._lease_s:
                held.since_s = now_s
                return
        self._held.pop(delivery.token, None)
        raise _lost(delivery)

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> None:
        reason = reason[:REASON_CHARS]
        held = await self._settle(delivery, "dead", reason=reason)
        with translated(self._address):
            await self._publish_dead_letter(delivery, held, reason)

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadLettered]:
        found: list[DeadLettered] = []
        number = 1
        with translated(self._address):
            while len(found) < limit:
                try:
                    entry = await self._js.get_msg(
                        self._names.dead, seq=number, subject=self._names.dead_subject, next=True
                    )
                except js_errors.NotFoundError:
                    break
                number = (entry.seq or number) + 1
                headers = dict(entry.headers or {})
                message = _message(entry.data or b"", headers, default_id="", default_at=0.0)
                about = _parsed(headers.get("Mayhem-Dead", ""))
                deliveries, reason = int(about.get("deliveries", 0)), str(about.get("reason", ""))
                found.append(DeadLettered(Delivery(message, deliveries), reason))
        return found

    async def pending(self) -> int:
        with translated(self._address):
            self._check_connected()
            if self._last_settled:
                # Acknowledgements are not answered, but taken in their order: one that is answered, of a
                # message that is settled already, comes after all before it.
                await self._client.request(self._last_settled, ACK, timeout=ANSWER_S)
                self._last_settled = ""
            info = await self._js.consumer_info(self._names.queue, "service")
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    def drain(self) -> None:
        self._draining = True
        if self._pull is not None and not self._pull.over.done():
            self._pull.over.set_result(None)

    # --- taking ---------------------------------------------------------------------------------------

    async def _find(self, limit: int) -> _Pull:
        """Wait for messages, up to *limit*; none came if it took too long.

        The server answers with what there is. Where there is nothing, it waits for the first message.
        """
        self._pulls += 1
        pull = _Pull(
            limit,
            f"{self._inbox}.{self._pulls}",
            time.monotonic(),
            asyncio.get_running_loop().create_future(),
        )
        pull_s = min(PULL_S, self._lease_s * PULL_LEASE_SHARE)
        request = {"batch": limit, "expires": round(pull_s * 1e9), "no_wait": True}
        self._pull = pull
        try:
            with translated(self._address):
                self._check_connected()
                if not self._complete:
                    await self._create()
                await self._client.publish(
                    f"$JS.API.CONSUMER.MSG.NEXT.{self._names.queue}.service",
                    json.dumps(request).encode(),
                    reply=pull.inbox,
                )
                async with asyncio.timeout(pull_s + ANSWER_S):
                    await pull.over
        except BaseException:
            self._pull = None
            await self._give_back(pull.messages)
            raise
        self._pull = None
        return pull

    async def _arrived(self, message: Msg) -> None:
        pull = self._pull
        if not message.reply:
            if pull is not None and message.subject == pull.inbox and not pull.over.done():
                self._end(pull, message)
        elif pull is None or pull.over.done():
            # Asked for by a wait that was cancelled meanwhile.
            await self._give_back([message])
        else:
            pull.messages.append(message)
            if len(pull.messages) == pull.limit:
                pull.over.set_result(None)

    def _end(self, pull: _Pull, message: Msg) -> None:
        status = str((message.headers or {}).get("Status", ""))
        if status in ("404", "408"):  # that was all
            pull.over.set_result(None)
        else:
            # JetStream or its leader is away, or somebody deleted the streams.
            self._complete = False
            why = (message.headers or {}).get("Description", "JetStream does not answer")
            pull.over.set_exception(StorageUnavailableError(f"{self._address.shown}: {status} {why}"))

    async def _hold(self, pull: _Pull) -> Sequence[Delivery]:
        try:
            with translated(self._address):
                taken = [await self._take(pull, message) for message in pull.messages]
        except BaseException:
            await self._give_back(pull.messages)
            raise
        return [delivery for delivery in taken if delivery is not None]

    async def _take(self, pull: _Pull, message: Msg) -> Delivery | None:
        """Claim a message that was handed out before; none if it is settled, or somebody else claims it."""
        about = message.metadata
        content = _message(
            message.data,
            dict(message.headers or {}),
            default_id=f"{self._names.queue}-{about.sequence.stream}",
            default_at=about.timestamp.timestamp(),
        )
        delivery = Delivery(content, about.num_delivered, message.reply)
        held = _InFlight(pull.since_s, about.sequence.stream)
        if about.num_delivered > 1:
            record = await self._read(held)
            if record.get("state") == "acked":
                await self._tell(message.reply, ACK)
                return None
            if record.get("state") == "dead":
                await self._publish_dead_letter(delivery, held, str(record.get("reason", "")))
                return None
            try:
                held.revision = await self._write(delivery, "held", held)
            except LeaseLostError:
                return None
        self._held[message.reply] = held
        return delivery

    async def _unhold(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            del self._held[delivery.token]
            await self._tell(delivery.token, NAK)

    async def _give_back(self, messages: Sequence[Msg]) -> None:
        for message in messages:
            self._held.pop(message.reply, None)
            await self._tell(message.reply, NAK)

    # --- settling -------------------------------------------------------------------------------------

    async def _settle(self, delivery: Delivery, state: str, *, nacks: int = 0, reason: str = "") -> _InFlight:
        held = self._held.pop(delivery.token, None)
        if held is None:
            raise _lost(delivery)
        held.nacks += nacks
        try:
            with translated(self._address):
                self._check_connected()
                await self._write(delivery, state, held, reason=reason)
        except StorageUnavailableError:
            held.nacks -= nacks
            self._held[delivery.token] = held  # another attempt is possible
            raise
        return held

    async def _read(self, held: _InFlight) -> dict[str, Any]:
        """The message's latest record; empty if there is none."""
        try:
            found = await self._js.get_last_msg(self._names.records, self._names.record(str(held.sequence)))
        except js_errors.NotFoundError:
            return {}
        record = _parsed((found.data or b"").decode(errors="replace"))
        held.revision, held.nacks = found.seq or 0, int(record.get("nacks", 0))
        return record

    async def _write(self, delivery: Delivery, state: str, held: _InFlight, *, reason: str = "") -> int:
        """Write the message's next record, and return its revision.

        Raises:
            LeaseLostError: Somebody else has written it.
        """
        record = {"id": delivery.message.id, "state": state, "number": delivery.number, "nacks": held.nacks}
        try:
            written = await self._js.publish(
                self._names.record(str(held.sequence)),
                json.dumps(record | ({"reason": reason} if reason else {})).encode(),
                headers={"Nats-Expected-Last-Subject-Sequence": str(held.revision)},
            )
        except js_errors.BadRequestError as exc:
            if exc.err_code == WRONG_LAST_SEQUENCE:
                raise _lost(delivery) from exc
            raise
        return written.seq

    async def _publish_dead_letter(self, delivery: Delivery, held: _InFlight, reason: str) -> None:
        """Keep the message among the dead letters. Doing it again does nothing."""
        about = json.dumps({"deliveries": delivery.number, "reason": reason})
        headers = {**_native(delivery.message), "Nats-Msg-Id": str(held.sequence), "Mayhem-Dead": about}
        # Only a message of another program, with large headers of its own, can be cut short.
        body = delivery.message.body[: max(0, self._client.max_payload - _bytes(headers))]
        await self._js.publish(self._names.dead_subject, body, headers=headers)
        await self._tell(delivery.token, ACK)

    async def _tell(self, token: str, what: bytes) -> None:
        """Tell the server about a delivery; while it is away, when it is back.

        Nothing depends on whether that arrives: at the end of the lease the message comes again.
        """
        try:
            await self._client.publish(token, what)
        except (errors.Error, OSError) as exc:
            log.warning("the server was not told: %s", exc, extra={"token": token})
        else:
            self._last_settled = token if what == ACK else self._last_settled

    # --- the server -----------------------------------------------------------------------------------

    def _check_connected(self) -> None:
        """Fail at once while the server is away: the client would keep what it is given, and wait."""
        if self._client.is_connected:
            return
        if self._client.last_error is not None and _is_refusal(self._client.last_error):
            raise self._client.last_error
        raise errors.ConnectionReconnectingError

    async def _create(self) -> None:
        names = self._names
        await self._ensure(
            StreamConfig(
                name=names.queue,
                subjects=[names.subject],
                retention=RetentionPolicy.WORK_QUEUE,
                duplicate_window=KEPT_S,
                max_msg_size=self._client.max_payload - ROOM_BYTES,
            )
        )
        await self._ensure(
            StreamConfig(
                name=names.records,
                subjects=[names.record("*")],
                max_msgs_per_subject=1,
                max_age=KEPT_S,
            )
        )
        await self._ensure(StreamConfig(name=names.dead, subjects=[names.dead_subject]))
        # Creates it, or changes its lease.
        await self._js.add_consumer(
            names.queue,
            ConsumerConfig(
                durable_name="service",
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=self._lease_s,
                max_deliver=-1,
                max_ack_pending=-1,
            ),
        )
        self._complete = True

    async def _ensure(self, stream: StreamConfig) -> None:
        """Create the stream; one that is there is left as it is."""
        try:
            await self._js.stream_info(stream.name or "")
        except js_errors.NotFoundError:
            await self._js.add_stream(stream)


@contextmanager
def translated(address: BrokerUrl) -> Iterator[None]:
    """Raise the library's errors as the service's."""
    try:
        yield
    except (errors.Error, OSError) as exc:
        record_storage_error("nats")
        if _is_refusal(exc):
            raise StorageBrokenError(
                f"{address.shown}: {_worded(exc)}; look at user and password in the URL"
            ) from exc
        kind = StorageUnavailableError if isinstance(exc, PASSING) else StorageBrokenError
        raise kind(f"{address.shown}: {_worded(exc)}") from exc


def _worded(error: BaseException) -> str:
    return str(error).removeprefix("nats: ") or type(error).__name__


def _is_refusal(error: BaseException) -> bool:
    # The client has no type for it: the server's words are all there is.
    return isinstance(error, errors.AuthorizationError) or "authorization" in str(error).lower()


def _lost(delivery: Delivery) -> LeaseLostError:
    return LeaseLostError(f"delivery {delivery.number} of {delivery.message.id} is no longer held")


def _native(message: Message) -> dict[str, str]:
    """The headers of a message on NATS, which are ASCII: those of ours are in one of them, as JSON."""
    about = {"id": message.id, "published_at": message.published_at, "headers": dict(message.headers)}
    # By this one the server knows duplicates.
    return {"Nats-Msg-Id": quote(message.id, safe=""), "Mayhem-Message": json.dumps(about)}


def _bytes(headers: dict[str, str]) -> int:
    """What the headers take on the wire; they count as a part of the message."""
    return len("NATS/1.0\r\n\r\n") + sum(len(name) + len(value) + 4 for name, value in headers.items())


def _message(body: bytes, headers: dict[str, str], *, default_id: str, default_at: float) -> Message:
    """A message from the headers of `_native`; from another program, its own are taken as they are."""
    about = _parsed(headers.get("Mayhem-Message", ""))
    if not about:
        own = {str(name): value for name, value in headers.items() if not name.startswith("Nats-")}
        return Message(headers.get("Nats-Msg-Id", default_id), body, default_at, own)
    carried = about.get("headers")
    published_at = about.get("published_at")
    return Message(
        str(about.get("id", default_id)),
        body,
        float(published_at) if isinstance(published_at, int | float) else default_at,
        {str(name): str(value) for name, value in carried.items()} if isinstance(carried, dict) else {},
    )


def _parsed(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
