"""What every broker of the chaos service must do, as checks for authors of brokers.

A check gets a function that makes a broker, and raises an `AssertionError` that says what was expected::

    @asynccontextmanager
    async def make(lease_s: float) -> AsyncIterator[Bench]:
        async with connect(url, lease_s=lease_s) as broker, connect(url, lease_s=lease_s) as peer:
            yield Bench(broker, peer, lease_s)

    @pytest.mark.parametrize("check", BROKER_CHECKS, ids=lambda check: check.__name__)
    async def test_my_broker(check):
        await check(make)

Checks use only `BrokerUnderTest`. To let a lease end, they advance the clock of a broker that takes one, or
else wait; a check that a slow machine has invalidated is repeated with a longer lease.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Protocol

from ..mayhem.errors import LeaseLostError, OversizedMessageError
from ..mayhem.message import DeadLettered, Delivery, Message
from .expect import same, true

# Short, because checks wait for its end, but long enough for a few calls on a busy machine.
SHORT_LEASE_S = 0.6
# For checks that are not about leases: a message that is held back then fails the check.
LONG_LEASE_S = 60.0
# A check that has not ended after this time fails: it waits for a message that does not come.
PATIENCE_S = 30.0
# Number of tries before a check fails on a machine that is too slow.
TRIES = 5
LARGE_BYTES = 10_000_000


class BrokerUnderTest(Protocol):
    """A broker that can also publish; `harness.mayhem.ports` documents the methods."""

    async def put(self, message: Message) -> None: ...

    async def get(self, limit: int) -> Sequence[Delivery]: ...

    async def ack(self, delivery: Delivery) -> None: ...

    async def nack(self, delivery: Delivery, *, delay_s: float) -> None: ...

    async def extend(self, delivery: Delivery) -> None: ...

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> None: ...

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadLettered]: ...

    async def pending(self) -> int: ...

    def drain(self) -> None: ...


class ManualClock:
    """Unix seconds that only change when advanced, for brokers that take a clock."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, by_s: float) -> None:
        self.now += by_s


@dataclass(frozen=True, slots=True)
class Bench:
    """A broker with an empty queue."""

    broker: BrokerUnderTest
    peer: BrokerUnderTest  # another consumer of the same queue, or *broker* itself if there can be only one
    lease_s: float
    clock: ManualClock | None = None  # the clock of both, or None for real time

    def now_s(self) -> float:
        return time.monotonic() if self.clock is None else self.clock.now

    async def wait_s(self, duration_s: float) -> None:
        """Let *duration_s* seconds pass."""
        if self.clock is None:
            await asyncio.sleep(duration_s)
        else:
            self.clock.advance(duration_s)

    async def expire(self) -> None:
        """Let a lease end that has just begun. In real time, the next `get` waits for that."""
        if self.clock is not None:
            self.clock.advance(self.lease_s * 1.1)

    def must_be_before(self, end_s: float) -> None:
        """Discard the try if it is *end_s* or later: its observations came too late."""
        if self.now_s() >= end_s:
            raise _TooSlowError


Make = Callable[[float], AbstractAsyncContextManager[Bench]]  # takes the lease in seconds
Check = Callable[[Make], Awaitable[None]]

_checks: list[Check] = []


class _TooSlowError(Exception):
    """The machine was too slow for a conclusion."""


def _check(lease_s: float) -> Callable[[Callable[[Bench], Awaitable[None]]], Check]:
    """Turn a function that examines a bench with that lease into a check."""

    def decorate(examine: Callable[[Bench], Awaitable[None]]) -> Check:
        @functools.wraps(examine)
        async def check(make: Make) -> None:
            for tries in range(TRIES):
                with suppress(_TooSlowError):
                    # With more time each time, since a busy machine is as slow in the next try.
                    async with make(lease_s * 2**tries) as bench:
                        await _within_patience(examine(bench))
                    return
            raise AssertionError(f"{examine.__name__}: this machine was too slow in all {TRIES} tries")

        _checks.append(check)
        return check

    return decorate


async def _within_patience(examining: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await examining
    except TimeoutError:
        raise AssertionError(f"no answer within {PATIENCE_S:g} s") from None


# --- messages --------------------------------------------------------------------------------


@_check(LONG_LEASE_S)
async def a_message_is_handed_out_whole(bench: Bench) -> None:
    """The first delivery of a message has its id, body, headers and time unchanged."""
    message = Message("a", b'{"host": "h"}', 1700000000.123456, {"traceparent": "00-1-2-01"})
    await bench.broker.put(message)

    same(await bench.broker.get(10), [Delivery(message, 1)])


@_check(LONG_LEASE_S)
async def a_message_needs_no_headers(bench: Bench) -> None:
    """A message without headers is handed out without headers."""
    await bench.broker.put(Message("a", b"{}", 1.5))

    same([delivery.message for delivery in await bench.broker.get(10)], [Message("a", b"{}", 1.5, {})])


@_check(LONG_LEASE_S)
async def unknown_headers_are_left_alone(bench: Bench) -> None:
    """Unknown names and values, in any script, arrive unchanged."""
    headers = {
        "traceparent": "00-1-2-01",
        "Clé": "naïve ✓ 🚀",
        "empty": "",
        "spaced": "  a  ",
        "line\nbreak": "a\r\nb: c",
        "": "no name",
    }
    await bench.broker.put(Message("a", b"{}", 1.5, headers))

    (delivery,) = await bench.broker.get(10)
    same(dict(delivery.message.headers), headers)


@_check(LONG_LEASE_S)
async def any_bytes_are_a_body(bench: Bench) -> None:
    """Empty and binary bodies arrive unchanged, and can be dead-lettered like any other."""
    bodies = {"empty": b"", "binary": bytes(range(256)), "lines": b"\r\n\r\n", "text": "é".encode()}
    for message_id, body in bodies.items():
        await bench.broker.put(Message(message_id, body, 1.5))

    deliveries = await _take(bench.broker, len(bodies))
    same({delivery.message.id: delivery.message.body for delivery in deliveries}, bodies)
    for delivery in deliveries:
        await bench.broker.dead_letter(delivery, reason="poison")
    same(await bench.broker.pending(), 0)


@_check(LONG_LEASE_S)
async def any_text_is_an_id(bench: Bench) -> None:
    """An id identifies its message, whatever characters it has."""
    ids = ["1", "with space", "a.b*c>", "é✓", "x" * 200]
    for message_id in ids * 2:
        await bench.broker.put(Message(message_id, b"{}", 1.5))

    deliveries = await _take(bench.broker, len(ids))
    same(sorted(delivery.message.id for delivery in deliveries), sorted(ids))
    for delivery in deliveries:
        await bench.broker.ack(delivery)
    same(await bench.broker.pending(), 0)


@_check(LONG_LEASE_S)
async def a_large_message_is_carried_or_refused(bench: Bench) -> None:
    """Ten megabytes arrive unchanged, or `put` refuses them at once and other messages are not affected."""
    large = Message("large", b"x" * LARGE_BYTES, 1.5)
    try:
        await bench.broker.put(large)
    except OversizedMessageError:
        pass
    else:
        (delivery,) = await bench.broker.get(10)
        true(delivery.message == large, "the large message arrived changed")
        await bench.broker.ack(delivery)

    same((await _one(bench, "small")).message.id, "small")


# --- publishing ---------------------------------------------------------------------------------------


@_check(LONG_LEASE_S)
async def the_same_id_is_one_message(bench: Bench) -> None:
    """A known id is not published again, neither before nor after its message was settled."""
    await bench.broker.put(Message("a", b"{}", 1.5))
    await bench.peer.put(Message("a", b"again", 2.5))
    (delivery,) = await bench.broker.get(10)
    await bench.broker.ack(delivery)
    await bench.broker.put(Message("a", b"and again", 3.5))

    same((delivery.message.body, await bench.broker.pending()), (b"{}", 0))
    same(await _due(bench), [])


@_check(LONG_LEASE_S)
async def messages_come_in_their_order(bench: Bench) -> None:
    """The messages of one publisher are delivered in the order of publishing, if none is returned."""
    for number in range(20):
        await bench.broker.put(Message(str(number), b"{}", 1.5))

    taken = [delivery.message.id for _ in range(20) for delivery in await bench.broker.get(1)]
    same(taken, [str(number) for number in range(20)])


# --- taking -------------------------------------------------------------------------------------------


@_check(LONG_LEASE_S)
async def no_more_than_the_limit_is_handed_out(bench: Bench) -> None:
    """With five messages due, two gets of up to three take each of them once."""
    for number in range(5):
        await bench.broker.put(Message(str(number), b"{}", 1.5))

    first, second = await bench.broker.get(3), await bench.broker.get(3)
    same(sorted(delivery.message.id for delivery in first), ["0", "1", "2"])
    same(sorted(delivery.message.id for delivery in second), ["3", "4"])


@_check(LONG_LEASE_S)
async def get_waits_for_a_message(bench: Bench) -> None:
    """On an empty queue, `get` waits for a message."""
    getting = asyncio.create_task(bench.broker.get(10))
    done, _ = await asyncio.wait({getting}, timeout=0.1)
    true(not done, "there was nothing to get")
    await bench.peer.put(Message("a", b"{}", 1.5))

    same([delivery.message.id for delivery in await getting], ["a"])


@_check(LONG_LEASE_S)
async def a_cancelled_get_keeps_nothing(bench: Bench) -> None:
    """At whatever point a `get` is cancelled, the next one gets its messages at once, not after a lease."""
    for number in range(40):
        getting = asyncio.create_task(bench.broker.get(1))
        putting = asyncio.create_task(bench.peer.put(Message(str(number), b"{}", 1.5)))
        # Cancelled at a different point each time.
        for _ in range(number):
            await asyncio.sleep(0)
        if number % 2:
            await putting
        getting.cancel()
        await asyncio.wait({getting, putting})
        taken = await (bench.peer.get(1) if getting.cancelled() else getting)

        same([delivery.message.id for delivery in taken], [str(number)])
        await (bench.peer if getting.cancelled() else bench.broker).ack(taken[0])
    same(await bench.broker.pending(), 0)


@_check(LONG_LEASE_S)
async def consumers_share_without_sharing_a_message(bench: Bench) -> None:
    """Two concurrent consumers together get every message once."""
    for number in range(20):
        await (bench.broker, bench.peer)[number % 2].put(Message(str(number), b"{}", 1.5))
    taken: list[str] = []

    async def consume(broker: BrokerUnderTest) -> None:
        while deliveries := await broker.get(3):
            for delivery in deliveries:
                await broker.ack(delivery)
            taken.extend(delivery.message.id for delivery in deliveries)
            if len(taken) == 40:
                bench.broker.drain()
                bench.peer.drain()

    async with asyncio.TaskGroup() as group:
        for broker in (bench.broker, bench.peer):
            group.create_task(consume(broker))
        for number in range(20, 40):
            await bench.broker.put(Message(str(number), b"{}", 1.5))

    same(sorted(taken, key=int), [str(number) for number in range(40)])


# --- leases -------------------------------------------------------------------------------------------


@_check(SHORT_LEASE_S)
async def a_leased_message_is_not_handed_out_again(bench: Bench) -> None:
    """During most of its lease, a message is not delivered again, and counts as pending."""
    since_s = bench.now_s()
    await _one(bench)
    await bench.wait_s(bench.lease_s * 0.7)
    due, pending = await _due(bench), await bench.broker.pending()
    bench.must_be_before(since_s + bench.lease_s)

    same((due, pending), ([], 2))


@_check(SHORT_LEASE_S)
async def a_lease_that_ends_brings_the_message_again(bench: Bench) -> None:
    """A message that is not settled within its lease is delivered again, with the next delivery number."""
    first = await _one(bench)
    for number in (2, 3):
        await bench.expire()
        same(await bench.peer.get(10), [Delivery(first.message, number)])


@_check(SHORT_LEASE_S)
async def an_extended_lease_lasts_from_the_extension(bench: Bench) -> None:
    """An extension restarts the lease at its full length, and not longer."""
    delivery = await _one(bench)
    await bench.wait_s(bench.lease_s * 0.7)
    since_s = bench.now_s()
    await bench.broker.extend(delivery)
    await bench.wait_s(bench.lease_s * 0.7)
    due = await _due(bench, "marker")
    bench.must_be_before(since_s + bench.lease_s)

    same(due, [])
    await bench.expire()
    again = await _take(bench.peer, 2)
    same(sorted((d.message.id, d.number) for d in again), [("a", 2), ("marker", 2)])


@_check(SHORT_LEASE_S)
async def a_late_extension_holds_or_is_refused(bench: Bench) -> None:
    """After the end of the lease, an extension raises `LeaseLostError` or renews the lease."""
    delivery = await _one(bench)
    await bench.wait_s(bench.lease_s * 1.2)
    since_s = bench.now_s()
    try:
        await bench.broker.extend(delivery)
    except LeaseLostError:
        return
    due = await _due(bench)
    bench.must_be_before(since_s + bench.lease_s)

    same(due, [])


@_check(SHORT_LEASE_S)
async def a_lost_lease_settles_nothing(bench: Bench) -> None:
    """When a message is delivered again after its lease, its former holder can no longer settle it."""
    # One message for each operation: a refusal may change what the broker knows of the message.
    for number in range(4):
        await bench.broker.put(Message(str(number), b"{}", 1.5))
    old = sorted(await _take(bench.broker, 4), key=lambda delivery: delivery.message.id)
    await bench.expire()
    new = await _take(bench.peer, 4)
    since_s = bench.now_s()
    refused = [await _refused(_settlements(bench.broker, old[number])[number]) for number in range(4)]
    pending, due = await bench.broker.pending(), await _due(bench)
    bench.must_be_before(since_s + bench.lease_s * 0.5)

    same((refused, pending, due), ([True] * 4, 4, []))
    same(await bench.broker.dead_letters(), [])
    for delivery in new:
        await bench.peer.ack(delivery)
    # Asked of the one that acked: another connection's acks may still be under way to the server.
    left = await bench.peer.pending()
    bench.must_be_before(since_s + bench.lease_s * 0.5)

    same(left, 1)  # the marker of `_due`


# --- settling -----------------------------------------------------------------------------------------


@_check(SHORT_LEASE_S)
async def an_acked_message_is_done_with(bench: Bench) -> None:
    """An acked message is never delivered again, even after its lease would have ended."""
    await bench.broker.ack(await _one(bench))
    await bench.wait_s(bench.lease_s * 1.2)

    same(await bench.broker.pending(), 0)
    same(await _due(bench), [])


@_check(LONG_LEASE_S)
async def a_nacked_message_comes_after_its_delay(bench: Bench) -> None:
    """A nacked message is delivered again after its delay, and not before."""
    delivery = await _one(bench)
    since_s = bench.now_s()
    await bench.broker.nack(delivery, delay_s=SHORT_LEASE_S)
    due, pending = await _due(bench), await bench.broker.pending()
    bench.must_be_before(since_s + SHORT_LEASE_S)

    same((due, pending), ([], 2))
    await bench.wait_s(0 if bench.clock is None else SHORT_LEASE_S)
    same(await bench.broker.get(10), [Delivery(delivery.message, 2)])


@_check(SHORT_LEASE_S)
async def a_delay_may_be_longer_than_the_lease(bench: Bench) -> None:
    """A nacked message has no lease any more, so it returns only after its delay."""
    delivery = await _one(bench)
    since_s = bench.now_s()
    await bench.broker.nack(delivery, delay_s=bench.lease_s * 2)
    await bench.wait_s(bench.lease_s * 1.3)
    due = await _due(bench)
    bench.must_be_before(since_s + bench.lease_s * 2)

    same(due, [])


@_check(LONG_LEASE_S)
async def a_message_handed_back_without_delay_comes_at_once(bench: Bench) -> None:
    """After a `nack` without delay, the next `get` has the message, even one that is already waiting."""
    delivery = await _one(bench)
    getting = asyncio.create_task(bench.peer.get(10))
    await asyncio.sleep(0)
    await bench.broker.nack(delivery, delay_s=0)

    same(await getting, [Delivery(delivery.message, 2)])


@_check(SHORT_LEASE_S)
async def a_dead_letter_is_kept_and_not_handed_out(bench: Bench) -> None:
    """A dead-lettered message can be read with its reason, and is never delivered again."""
    message = Message("a", b"\xff", 1.5, {"traceparent": "00-1-2-01"})
    await bench.broker.put(message)
    (delivery,) = await bench.broker.get(10)
    await bench.broker.dead_letter(delivery, reason="poison ✓")
    await bench.broker.dead_letter(await _one(bench, "b"), reason="as well")
    await bench.wait_s(bench.lease_s * 1.2)

    first, second = await bench.peer.dead_letters()
    same(first, DeadLettered(Delivery(message, 1), "poison ✓"))
    same((second.delivery.message.id, second.reason), ("b", "as well"))
    same(len(await bench.peer.dead_letters(1)), 1)
    same(await bench.broker.pending(), 0)
    same(await _due(bench), [])


@_check(LONG_LEASE_S)
async def a_settled_delivery_cannot_be_settled_again(bench: Bench) -> None:
    """Once a delivery is acked, nacked or dead-lettered, all else is refused and changes nothing."""
    acked, nacked, dead = await _one(bench, "acked"), await _one(bench, "nacked"), await _one(bench, "dead")
    await bench.broker.ack(acked)
    await bench.broker.nack(nacked, delay_s=0)
    await bench.broker.dead_letter(dead, reason="poison")

    settled = (acked, nacked, dead)
    refused = [await _refused(settle) for d in settled for settle in _settlements(bench.broker, d)]
    same(refused, [True] * 12)
    same([(d.message.id, d.number) for d in await bench.broker.get(10)], [("nacked", 2)])
    same([aside.reason for aside in await bench.broker.dead_letters()], ["poison"])


# --- the end ------------------------------------------------------------------------------------------


@_check(LONG_LEASE_S)
async def a_drained_broker_hands_out_nothing_but_settles(bench: Bench) -> None:
    """After `drain`, every `get` is empty at once, and messages in flight can still be settled."""
    acked, nacked = await _one(bench, "acked"), await _one(bench, "nacked")
    await bench.broker.put(Message("b", b"{}", 1.5))
    bench.broker.drain()
    bench.broker.drain()

    same([list(await bench.broker.get(10)) for _ in range(2)], [[], []])
    await bench.broker.extend(acked)
    await bench.broker.ack(acked)
    await bench.broker.nack(nacked, delay_s=0)
    same(await bench.broker.pending(), 2)


@_check(LONG_LEASE_S)
async def draining_ends_a_wait_and_keeps_nothing(bench: Bench) -> None:
    """`drain` ends a waiting `get` without messages, and the next message goes to another consumer."""
    getting = asyncio.create_task(bench.broker.get(10))
    await asyncio.wait({getting}, timeout=0.1)
    bench.broker.drain()
    taken = list(await getting)
    if bench.peer is bench.broker:
        same(taken, [])
        return
    await bench.peer.put(Message("a", b"{}", 1.5))

    same((taken, [d.message.id for d in await bench.peer.get(10)]), ([], ["a"]))


BROKER_CHECKS: tuple[Check, ...] = tuple(_checks)


# --- helpers ------------------------------------------------------------------------------------------


async def _one(bench: Bench, message_id: str = "a") -> Delivery:
    """Publish one message and take it."""
    await bench.broker.put(Message(message_id, b"{}", 1.5))
    (delivery,) = await bench.broker.get(10)
    return delivery


async def _take(broker: BrokerUnderTest, count: int) -> list[Delivery]:
    """Take *count* messages, in as many gets as needed."""
    taken: list[Delivery] = []
    while len(taken) < count:
        taken.extend(await broker.get(count - len(taken)))
    return taken


async def _due(bench: Bench, marker: str = "a marker") -> list[str]:
    """The ids of messages that are due now: those that arrive before or with a newly published marker."""
    await bench.peer.put(Message(marker, b"{}", 9.0))
    taken: list[str] = []
    while marker not in taken:
        taken.extend(delivery.message.id for delivery in await bench.peer.get(10))
    taken.remove(marker)
    return taken


def _settlements(broker: BrokerUnderTest, delivery: Delivery) -> list[Callable[[], Awaitable[None]]]:
    return [
        lambda: broker.extend(delivery),
        lambda: broker.nack(delivery, delay_s=0),
        lambda: broker.dead_letter(delivery, reason="late"),
        lambda: broker.ack(delivery),
    ]


async def _refused(settle: Callable[[], Awaitable[None]]) -> bool:
    try:
        await settle()
    except LeaseLostError:
        return True
    return False
