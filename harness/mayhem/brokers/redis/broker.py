"""A broker in Redis streams. Every change is one Lua script: it happens as a whole, by the server's clock.

A consumer group hands out new messages, and counts the deliveries. Whatever was handed out is in the group's
list of pending entries, whose consumers here are no processes but states: ``hand`` for what is in somebody's
hands, ``queue`` for what was handed back. A delivery holds its message as long as the entry is in ``hand``
with its number. A sorted set knows when each is due again: leases and delays both move it.

The keys are a contract with publishers in other processes; docs/brokers.md describes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from ...cancellation import Interruptible, take_or_undo
from ...errors import LeaseLostError, SettingsError, StorageBrokenError, StorageUnavailableError
from ...message import DeadLettered, Delivery, Message
from ...messages.headers import parsed
from ...operations.metrics import record_storage_error
from ..broker_url import BrokerUrl

try:
    from redis import exceptions
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
except ImportError as missing:
    raise SettingsError(
        "the broker redis: needs the package redis: pip install 'asyncio-harness[redis]'"
    ) from missing

# For a message's id to be known and its settlement to be told. Longer than anybody tries to publish again;
# an id takes the server some hundred bytes.
KEPT_S = 3600
# A server that answers nothing for so long is away.
ANSWER_S = 5.0
# How long one wait for messages lasts. Less than the above, because the server is silent meanwhile.
PULL_S = 1.0
# A script takes the server some 30 µs, so that more would only wait there instead of here.
CONNECTIONS = 32

# In all scripts: KEYS are those of `_Keys`, in their order.
PRELUDE = """
local stream, due, figures, settled, dead = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function settle(entry, number, state, id, reason)
    redis.call('XACK', stream, 'service', entry)
    redis.call('XDEL', stream, entry)
    redis.call('ZREM', due, entry)
    redis.call('HINCRBY', figures, state, 1)
    redis.call('XADD', settled, 'MINID', '~', math.floor(now / 1000) - KEPT_MS,
        '*', 'id', id, 'state', state, 'number', number, 'at_us', now, 'reason', reason)
end
""".replace("KEPT_MS", str(KEPT_S * 1000))

PUT = """
local known, id, body, headers, published_at = KEYS[6], unpack(ARGV)
if redis.call('SET', known, '', 'NX', 'EX', KEPT_S) then
    redis.call('XADD', stream, '*', 'id', id, 'body', body, 'headers', headers, 'published_at', published_at)
    redis.call('HINCRBY', figures, 'published', 1)
end
""".replace("KEPT_S", str(KEPT_S))

CLAIM = """
local lease, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local taken = {}
local function take(entry, number, fields)
    redis.call('ZADD', due, now + lease, entry)
    taken[#taken + 1] = {entry, number, fields}
end
for _, entry in ipairs(redis.call('ZRANGE', due, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)) do
    local found = redis.call('XCLAIM', stream, 'service', 'hand', 0, entry)[1]
    if found then
        local number = redis.call('XPENDING', stream, 'service', entry, entry, 1)[1][4]
        if number > 1 then redis.call('HINCRBY', figures, 'redelivered', 1) end
        take(entry, number, found[2])
    else  -- somebody deleted it from the stream; the ledger will miss it
        redis.call('XACK', stream, 'service', entry)
        redis.call('ZREM', due, entry)
    end
end
if #taken < limit then
    local count = limit - #taken
    local new = redis.call('XREADGROUP', 'GROUP', 'service', 'hand', 'COUNT', count, 'STREAMS', stream, '>')
    for _, found in ipairs(new and new[1][2] or {}) do take(found[1], 1, found[2]) end
end
if #taken > 0 then return {taken} end
-- What to wait for: the first that falls due, or an entry after the last one there is.
local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
local info, last = redis.call('XINFO', 'STREAM', stream), '0'
for i = 1, #info, 2 do if info[i] == 'last-generated-id' then last = info[i + 1] end end
return {taken, first and first - now or -1, last}
"""

HELD = """
local entry, number = ARGV[1], tonumber(ARGV[2])
local pending = redis.call('XPENDING', stream, 'service', entry, entry, 1)[1]
if not (pending and pending[2] == 'hand' and pending[4] == number) then return 0 end
"""
ACK = "settle(entry, number, 'acked', ARGV[3], '') return 1"
NACK = """
redis.call('XCLAIM', stream, 'service', 'queue', 0, entry, 'JUSTID')
redis.call('ZADD', due, now + tonumber(ARGV[3]), entry)
redis.call('HINCRBY', figures, 'nacked', 1)
return 1
"""
# The claim only sets back the idle time that XPENDING shows to people.
EXTEND = """
redis.call('XCLAIM', stream, 'service', 'hand', 0, entry, 'JUSTID')
redis.call('ZADD', due, now + tonumber(ARGV[3]), entry)
return 1
"""
UNCLAIM = """
redis.call('XCLAIM', stream, 'service', 'queue', 0, entry, 'RETRYCOUNT', number - 1, 'JUSTID')
redis.call('ZADD', due, now, entry)
if number > 1 then redis.call('HINCRBY', figures, 'redelivered', -1) end
return 1
"""
DEAD_LETTER = """
local found = redis.call('XRANGE', stream, entry, entry)[1]
if not found then return 0 end
local fields = found[2]
for _, more in ipairs({'deliveries', number, 'reason', ARGV[4]}) do fields[#fields + 1] = more end
redis.call('XADD', dead, '*', unpack(fields))
settle(entry, number, 'dead', ARGV[3], ARGV[4])
return 1
"""

# What may go away by itself: it is starting, full, busy, or a replica that becomes the master.
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
# Some of them are connection errors to the library.
REFUSALS = (
    exceptions.AuthenticationError,
    exceptions.AuthorizationError,
    exceptions.NoPermissionError,
)


@asynccontextmanager
async def connect(url: str, *, lease_s: float) -> AsyncIterator[RedisBroker]:
    """The broker that *url* names: ``redis://USER:PASSWORD@HOST:PORT/DB?queue=NAME``.

    Raises:
        SettingsError: The URL is wrong.
        StorageError: The server does not answer, or refuses.
    """
    address = BrokerUrl.from_url(url)
    async with connected(address) as client:
        broker = RedisBroker(client, address, lease_s=lease_s)
        await broker.create()
        yield broker


@asynccontextmanager
async def connected(address: BrokerUrl) -> AsyncIterator[Redis]:
    """A client of the server there; it connects when it is first used, and again whenever it has to."""
    pool = BlockingConnectionPool.from_url(
        address.url,
        max_connections=CONNECTIONS,
        timeout=ANSWER_S,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=ANSWER_S,
        # Tried again by the library, a script might be carried out twice.
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        client_name=address.queue,
    )
    try:
        yield Redis(connection_pool=pool)
    finally:
        await pool.disconnect()


class Keys(NamedTuple):
    """The keys of a queue. Braces, so that a cluster keeps them on one node."""

    stream: str
    due: str
    figures: str
    settled: str
    dead: str

    @classmethod
    def of(cls, queue: str) -> Keys:
        return cls(*(f"{{{queue}}}:{name}" for name in cls._fields))

    def known(self, message_id: str) -> str:
        return f"{self.stream.removesuffix('stream')}known:{message_id}"


class RedisBroker:
    """Keeps no state but the connections: everything is in the server."""

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
        """Create what is not there yet."""
        with translated(self._address):
            try:
                await self._client.xgroup_create(self._keys.stream, "service", "0", mkstream=True)
            except exceptions.ResponseError as exc:
                if not str(exc).startswith("BUSYGROUP"):  # it is there
                    raise

    async def put(self, message: Message) -> None:
        with translated(self._address):
            await self._put(
                keys=[*self._keys, self._keys.known(message.id)],
                args=[
                    message.id,
                    message.body,
                    json.dumps(dict(message.headers)),
                    repr(message.published_at),
                ],
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
            # Settled entries are deleted from it.
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
                # The server came back without its data, or somebody emptied it.
                await self.create()
                answer = await self._take(keys=self._keys, args=[self._lease_us, limit])
        entries, *waiting = answer
        return _Taken([_delivery(*entry) for entry in entries], *waiting)

    async def _unclaim(self, taken: _Taken) -> None:
        """As if they had never been handed out: nobody has seen them."""
        for delivery in taken.deliveries:
            await self._change(UNCLAIM, delivery)

    async def _wait_for_entry(self, taken: _Taken) -> None:
        """Wait for a new entry, at the longest until one falls due. Takes nothing, so it may be cancelled."""
        pull_s = PULL_S if taken.due_us < 0 else min(taken.due_us / 1e6, PULL_S)
        # Zero would mean for ever.
        block_ms = max(1, math.ceil(pull_s * 1e3))
        await self._client.xread({self._keys.stream: taken.last}, count=1, block=block_ms)

    async def _change(self, change: str, delivery: Delivery, *values: str | int) -> None:
        lost = f"delivery {delivery.number} of {delivery.message.id} is no longer held"
        with translated(self._address):
            try:
                held = await self._changes[change](
                    keys=self._keys, args=[delivery.token, delivery.number, *values]
                )
            except exceptions.ResponseError as exc:
                if str(exc).startswith("NOGROUP"):  # with the queue itself every lease is lost
                    raise LeaseLostError(lost) from exc
                raise
        if not held:
            raise LeaseLostError(lost)


class _Taken(NamedTuple):
    deliveries: Sequence[Delivery]
    due_us: int = -1  # until the first of the others falls due, when none was taken; -1 for never
    last: bytes = b"0"  # the entry after which to wait for new ones


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
        advice = "; look at user and password in the URL" if isinstance(exc, REFUSALS) else ""
        raise StorageBrokenError(f"{address.shown}: {str(exc).rstrip('.')}{advice}") from exc


def _delivery(entry: bytes, number: int, fields: Sequence[bytes]) -> Delivery:
    pairs = dict(zip(fields[::2], fields[1::2], strict=True))
    return Delivery(_message(pairs, default_id=entry.decode()), number, entry.decode())


def _dead_lettered(fields: dict[bytes, bytes]) -> DeadLettered:
    delivery = Delivery(_message(fields, default_id=""), int(fields[b"deliveries"]))
    return DeadLettered(delivery, fields[b"reason"].decode(errors="replace"))


def _message(fields: dict[bytes, bytes], *, default_id: str) -> Message:
    """A message of another program may lack what is not needed to handle it."""

    def text(name: bytes, default: str) -> str:
        return fields.get(name, default.encode()).decode(errors="replace")

    return Message(
        text(b"id", default_id),
        fields.get(b"body", b""),
        _number(text(b"published_at", "")),
        parsed(text(b"headers", "")),
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
