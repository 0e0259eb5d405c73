"""A broker in Redis streams. Every change is one Lua script: atomic, and timed by the server's clock.

A consumer group hands out new messages and counts deliveries. Delivered messages are in the group's list of
pending entries, where the consumers are not processes but states: ``hand`` for messages in flight, ``queue``
for messages handed back. A delivery holds its message while the entry is in ``hand`` with its number. A
sorted set holds the time when each entry is due again; leases and delays both move it.

The keys are a contract with publishers in other processes; docs/brokers.md describes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from redis import exceptions
from redis.asyncio import Redis

from ...cancellation import Interruptible, take_or_undo
from ...message import DeadLettered, Delivery, Message, json_object, text_headers
from ..broker_url import BrokerUrl
from .connection import connected, translated
from .script import ACK, CLAIM, DEAD_LETTER, EXTEND, HELD, NACK, PRELUDE, PUT, UNCLAIM, Keys

# How long one wait for messages lasts; less than `ANSWER_S`, because the server sends nothing while it waits.
PULL_S = 1.0


@asynccontextmanager
async def connect(url: str, *, lease_s: float) -> AsyncIterator[RedisBroker]:
    """The broker at *url*: ``redis://USER:PASSWORD@HOST:PORT/DB?queue=NAME``.

    Raises:
        SettingsError: The URL is wrong.
        StorageError: The server does not answer, or refuses.
    """
    address = BrokerUrl.from_url(url)
    async with connected(address) as client:
        broker = RedisBroker(client, address, lease_s=lease_s)
        await broker.create()
        yield broker


class RedisBroker:
    """Keeps all its state in the server."""

    system = "redis"

    def __init__(self, client: Redis, address: BrokerUrl, *, lease_s: float) -> None:
        self._client = client
        self._address = address
        self._lease_us = round(lease_s * 1e6)
        self._keys = Keys.of(address.queue)
        self._interruptible = Interruptible()
        self._put = client.register_script(PRELUDE + PUT)
        self._take = client.register_script(PRELUDE + CLAIM)
        self._changes = {
            change: client.register_script(PRELUDE + HELD + change)
            for change in (ACK, NACK, EXTEND, UNCLAIM, DEAD_LETTER)
        }

    async def create(self) -> None:
        """Create the consumer group if it does not exist."""
        with translated(self._address):
            try:
                await self._client.xgroup_create(self._keys.stream, "service", "0", mkstream=True)
            except exceptions.ResponseError as exc:
                if not str(exc).startswith("BUSYGROUP"):  # it exists
                    raise

    async def put(self, message: Message) -> None:
        with translated(self._address):
            headers, published_at = json.dumps(dict(message.headers)), repr(message.published_at)
            await self._put(
                keys=[*self._keys, self._keys.known(message.id)],
                args=[message.id, message.body, headers, published_at],
            )

    async def get(self, limit: int) -> Sequence[Delivery]:
        while not self._interruptible.interrupted:
            taken = await take_or_undo(self._claim(limit), self._unclaim)
            if taken.deliveries:
                return taken.deliveries
            with translated(self._address):
                await self._interruptible.wait(self._wait_for_entry(taken))
        return []

    async def ack(self, delivery: Delivery) -> None:
        await self._change(ACK, delivery, delivery.message.id)

    async def nack(self, delivery: Delivery, *, delay_s: float) -> None:
        await self._change(NACK, delivery, round(delay_s * 1e6))

    async def extend(self, delivery: Delivery) -> None:
        await self._change(EXTEND, delivery, self._lease_us)

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> None:
        await self._change(DEAD_LETTER, delivery, delivery.message.id, reason)

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadLettered]:
        with translated(self._address):
            entries: Any = await self._client.xrange(self._keys.dead, count=limit)
        return [_dead_lettered(fields) for _, fields in entries]

    async def pending(self) -> int:
        with translated(self._address):
            # Settled entries are deleted from the stream.
            return int(await self._client.xlen(self._keys.stream))

    def drain(self) -> None:
        self._interruptible.interrupt()

    async def _claim(self, limit: int) -> _Taken:
        with translated(self._address):
            try:
                answer = await self._take(keys=self._keys, args=[self._lease_us, limit])
            except exceptions.ResponseError as exc:
                if not str(exc).startswith("NOGROUP"):
                    raise
                # The server restarted without its data, or was emptied.
                await self.create()
                answer = await self._take(keys=self._keys, args=[self._lease_us, limit])
        entries, *waiting = answer
        return _Taken([_delivery(*entry) for entry in entries], *waiting)

    async def _unclaim(self, taken: _Taken) -> None:
        """Undo a claim that no consumer has seen."""
        for delivery in taken.deliveries:
            await self._change(UNCLAIM, delivery)

    async def _wait_for_entry(self, taken: _Taken) -> None:
        """Wait for a new entry, at most until one falls due. Takes nothing, so it may be cancelled."""
        pull_s = PULL_S if taken.due_us < 0 else min(taken.due_us / 1e6, PULL_S)
        # Zero would block forever.
        block_ms = max(1, math.ceil(pull_s * 1e3))
        await self._client.xread({self._keys.stream: taken.last}, count=1, block=block_ms)

    async def _change(self, change: str, delivery: Delivery, *values: str | int) -> None:
        with translated(self._address):
            try:
                args = [delivery.token, delivery.number, *values]
                held = await self._changes[change](keys=self._keys, args=args)
            except exceptions.ResponseError as exc:
                if str(exc).startswith("NOGROUP"):  # every lease is lost with its queue
                    raise delivery.lost() from exc
                raise
        if not held:
            raise delivery.lost()


class _Taken(NamedTuple):
    deliveries: Sequence[Delivery]
    due_us: int = -1  # time until the next entry falls due, if none was taken; -1 for never
    last: bytes = b"0"  # the entry after which to wait for new ones


def _delivery(entry: bytes, number: int, fields: Sequence[bytes]) -> Delivery:
    pairs = dict(zip(fields[::2], fields[1::2], strict=True))
    return Delivery(_message(pairs, default_id=entry.decode()), number, entry.decode())


def _dead_lettered(fields: dict[bytes, bytes]) -> DeadLettered:
    delivery = Delivery(_message(fields, default_id=""), int(fields[b"deliveries"]))
    return DeadLettered(delivery, fields[b"reason"].decode(errors="replace"))


def _message(fields: dict[bytes, bytes], *, default_id: str) -> Message:
    """Read a message; one from another program may have only a body."""

    def text(name: bytes, default: str) -> str:
        return fields.get(name, default.encode()).decode(errors="replace")

    return Message(
        text(b"id", default_id),
        fields.get(b"body", b""),
        _number(text(b"published_at", "")),
        text_headers(json_object(text(b"headers", ""))),
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
