"""A broker in NATS JetStream: a work queue, a stream of records of its messages, and one of dead letters.

JetStream hands out and counts deliveries, but accepts an acknowledgement from any consumer, however late. So
the records decide: a claim when a message is delivered again, or a settlement, each on the message's own
subject. A record is published on condition that the record before it is the one this delivery knows. Of two
consumers that both believe they hold a message, only one can write the next record. The server's own
acknowledgement follows; if it is lost, the message is delivered again, and its consumer reads in the record
that it is settled.

The subjects are a contract with publishers in other processes; docs/brokers.md describes them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from nats import errors
from nats.aio.msg import Msg
from nats.js import errors as js_errors

from ...cancellation import take_or_undo
from ...errors import LeaseLostError, OversizedMessageError, StorageBrokenError, StorageUnavailableError
from ...message import DeadLettered, Delivery, Message, json_object
from ..broker_url import BrokerUrl
from .connection import ACK, EXTEND, NAK, NatsConnection, connected
from .envelope import size_bytes, to_headers, to_message
from .pull import Pull, Puller
from .record import InFlight, Records
from .stream import ROOM_BYTES, StreamNames

# Longer reasons are truncated.
REASON_CHARS = 500


@asynccontextmanager
async def connect(url: str, *, lease_s: float) -> AsyncIterator[NatsBroker]:
    """The broker at *url*: ``nats://USER:PASSWORD@HOST:PORT?queue=NAME``.

    Raises:
        SettingsError: The URL is wrong.
        StorageError: The server does not answer, or refuses.
    """
    address = BrokerUrl.from_url(url)
    broker: NatsBroker | None = None

    def lost() -> None:
        if broker is not None:
            broker.disconnected()

    async with connected(address, on_loss=lost) as connection:
        broker = NatsBroker(connection, lease_s=lease_s)
        await broker.open()
        try:
            yield broker
        finally:
            await broker.close()


class NatsBroker:
    """Hands out the messages of a work queue."""

    system = "nats"

    def __init__(self, connection: NatsConnection, *, lease_s: float) -> None:
        self._connection = connection
        self._client = connection.client
        self._js = connection.js
        self._address = connection.address
        self._names = StreamNames.of(connection.address.queue)
        self._lease_s = lease_s
        self._records = Records(connection, self._names)
        self._puller = Puller(connection, self._names, lease_s=lease_s)
        self._in_flight: dict[str, InFlight] = {}  # by token
        self._one_pull = asyncio.Lock()
        self._draining = False

    async def open(self) -> None:
        """Create missing streams, and subscribe."""
        with self._connection.translated():
            # Without JetStream, no request would ever be answered.
            try:
                await self._js.account_info()
            except (errors.NoRespondersError, js_errors.ServiceUnavailableError) as exc:
                what = f"{self._address.shown}: JetStream is not enabled; start the server with -js"
                raise StorageBrokenError(what) from exc
            await self._puller.open()

    async def close(self) -> None:
        """Hand back the messages that are still arriving."""
        self._draining = True
        await self._puller.close()

    def disconnected(self) -> None:
        """Called when the connection is lost."""
        self._puller.disconnected()

    async def put(self, message: Message) -> None:
        headers = to_headers(message)
        size, limit = len(message.body) + size_bytes(headers), self._client.max_payload - ROOM_BYTES
        if size > limit:  # the server would close the connection
            raise OversizedMessageError(
                f"{self._address.shown}: a message and its headers may have {limit} bytes, got {size}"
                " (the server's max_payload says how many)"
            )
        with self._connection.translated():
            self._connection.check_connected()
            await self._js.publish(self._names.subject, message.body, headers=headers)

    async def get(self, limit: int) -> Sequence[Delivery]:
        async with self._one_pull:
            while not self._draining:
                pull = await self._puller.pull(limit)
                if pull.messages and (deliveries := await take_or_undo(self._take(pull), self._untake)):
                    return deliveries
            return []

    async def ack(self, delivery: Delivery) -> None:
        await self._settle(delivery, "acked")
        await self._connection.respond(delivery.token, ACK)

    async def nack(self, delivery: Delivery, *, delay_s: float) -> None:
        await self._settle(delivery, "waiting", nacks=1)
        delay = json.dumps({"delay": round(delay_s * 1e9)}).encode()
        await self._connection.respond(delivery.token, NAK + b" " + delay if delay_s > 0 else NAK)

    async def extend(self, delivery: Delivery) -> None:
        held = self._in_flight.get(delivery.token)
        now_s = time.monotonic()
        if held is not None and now_s < held.since_s + self._lease_s:
            with self._connection.translated():
                self._connection.check_connected()
                await self._connection.request(delivery.token, EXTEND)
            # An extension counts only if it was answered within the lease: later, the message may be on its
            # way to another consumer.
            if time.monotonic() < held.since_s + self._lease_s:
                held.since_s = now_s
                return
        self._in_flight.pop(delivery.token, None)
        raise delivery.lost()

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> None:
        reason = reason[:REASON_CHARS]
        held = await self._settle(delivery, "dead", reason=reason)
        with self._connection.translated():
            await self._publish_dead_letter(delivery, held, reason)

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadLettered]:
        found: list[DeadLettered] = []
        number = 1
        with self._connection.translated():
            while len(found) < limit:
                try:
                    entry = await self._js.get_msg(
                        self._names.dead, seq=number, subject=self._names.dead_subject, next=True
                    )
                except js_errors.NotFoundError:
                    break
                number = (entry.seq or number) + 1
                headers = dict(entry.headers or {})
                message = to_message(entry.data or b"", headers, default_id="", default_at=0.0)
                about = json_object(headers.get("Mayhem-Dead", ""))
                deliveries, reason = int(about.get("deliveries", 0)), str(about.get("reason", ""))
                found.append(DeadLettered(Delivery(message, deliveries), reason))
        return found

    async def pending(self) -> int:
        with self._connection.translated():
            self._connection.check_connected()
            await self._connection.flush_acks()
            info = await self._js.consumer_info(self._names.queue, "service")
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    def drain(self) -> None:
        self._draining = True
        self._puller.end()

    async def _take(self, pull: Pull) -> Sequence[Delivery]:
        try:
            with self._connection.translated():
                taken = [await self._claim(pull, message) for message in pull.messages]
        except BaseException:
            for message in pull.messages:
                self._in_flight.pop(message.reply, None)
            await self._puller.hand_back(pull.messages)
            raise
        return [delivery for delivery in taken if delivery is not None]

    async def _claim(self, pull: Pull, message: Msg) -> Delivery | None:
        """Claim a message; None if it is settled already, or another delivery claims it."""
        about = message.metadata
        content = to_message(
            message.data,
            dict(message.headers or {}),
            default_id=f"{self._names.queue}-{about.sequence.stream}",
            default_at=about.timestamp.timestamp(),
        )
        delivery = Delivery(content, about.num_delivered, message.reply)
        held = InFlight(pull.since_s, about.sequence.stream)
        if about.num_delivered > 1:
            record = await self._records.read(held)
            if record.get("state") == "acked":
                await self._connection.respond(message.reply, ACK)
                return None
            if record.get("state") == "dead":
                await self._publish_dead_letter(delivery, held, str(record.get("reason", "")))
                return None
            try:
                held.revision = await self._records.write(delivery, "held", held)
            except LeaseLostError:
                return None
        self._in_flight[message.reply] = held
        return delivery

    async def _untake(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            del self._in_flight[delivery.token]
            await self._connection.respond(delivery.token, NAK)

    async def _settle(self, delivery: Delivery, state: str, *, nacks: int = 0, reason: str = "") -> InFlight:
        held = self._in_flight.pop(delivery.token, None)
        if held is None:
            raise delivery.lost()
        held.nacks += nacks
        try:
            with self._connection.translated():
                self._connection.check_connected()
                await self._records.write(delivery, state, held, reason=reason)
        except StorageUnavailableError:
            held.nacks -= nacks
            self._in_flight[delivery.token] = held  # the caller may try again
            raise
        return held

    async def _publish_dead_letter(self, delivery: Delivery, held: InFlight, reason: str) -> None:
        """Publish the message as a dead letter. Idempotent."""
        about = json.dumps({"deliveries": delivery.number, "reason": reason})
        headers = {**to_headers(delivery.message), "Nats-Msg-Id": str(held.sequence), "Mayhem-Dead": about}
        # Only a message from another program, with large headers, is ever truncated.
        body = delivery.message.body[: max(0, self._client.max_payload - size_bytes(headers))]
        await self._js.publish(self._names.dead_subject, body, headers=headers)
        await self._connection.respond(delivery.token, ACK)
