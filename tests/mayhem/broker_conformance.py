"""What every broker of the service must do, as checks that know nothing of the broker but its ports.

A broker's test gives `check` a way to make an empty one with a lease of `LEASE_S` and a clock to obey.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import pytest

from harness.mayhem.errors import LeaseLostError
from harness.mayhem.message import Delivery, Message
from harness.mayhem.ports import Broker, Outlet

LEASE_S = 30.0


class BrokerUnderTest(Broker, Outlet, Protocol):
    """A broker that can be published into from here."""


class ManualClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, by_s: float) -> None:
        self.now += by_s


Make = Callable[[ManualClock], AbstractAsyncContextManager[BrokerUnderTest]]


async def _one(broker: BrokerUnderTest, message_id: str = "a") -> Delivery:
    await broker.put(Message(message_id, "{}", 1.5))
    (delivery,) = await broker.get(10)
    return delivery


async def _nothing_to_get(broker: BrokerUnderTest) -> bool:
    """A marker that is published now is handed out alone: nothing else was due."""
    await broker.put(Message("marker", "{}", 9.0))
    return [d.message.id for d in await broker.get(10)] == ["marker"]


async def what_is_put_is_handed_out_whole(broker: BrokerUnderTest, clock: ManualClock) -> None:
    message = Message("a", '{"host": "h"}', 1.5, {"traceparent": "00-1-2-01"})
    await broker.put(message)

    assert list(await broker.get(10)) == [Delivery(message, 1)]


async def the_same_id_is_one_message(broker: BrokerUnderTest, clock: ManualClock) -> None:
    await broker.ack(await _one(broker))
    await broker.put(Message("a", "again", 2.5))

    assert await broker.pending() == 0
    assert await _nothing_to_get(broker)


async def no_more_than_the_limit_is_handed_out(broker: BrokerUnderTest, clock: ManualClock) -> None:
    for number in range(5):
        await broker.put(Message(str(number), "{}", 1.5))
        clock.advance(0.001)

    first, second = await broker.get(3), await broker.get(3)
    assert sorted(d.message.id for d in first) == ["0", "1", "2"]
    assert sorted(d.message.id for d in second) == ["3", "4"]


async def get_waits_for_a_message(broker: BrokerUnderTest, clock: ManualClock) -> None:
    getting = asyncio.create_task(broker.get(1))
    await asyncio.sleep(0)
    assert not getting.done()
    await broker.put(Message("a", "{}", 1.5))

    assert [d.message.id for d in await getting] == ["a"]


async def an_acked_message_is_done_with(broker: BrokerUnderTest, clock: ManualClock) -> None:
    await broker.ack(await _one(broker))
    clock.advance(LEASE_S * 2)

    assert await broker.pending() == 0
    assert await _nothing_to_get(broker)


async def a_leased_message_is_not_handed_out_twice(broker: BrokerUnderTest, clock: ManualClock) -> None:
    await _one(broker)
    clock.advance(LEASE_S - 1)

    assert await broker.pending() == 1
    assert await _nothing_to_get(broker)


async def a_lease_that_ends_brings_the_message_again(broker: BrokerUnderTest, clock: ManualClock) -> None:
    first = await _one(broker)
    clock.advance(LEASE_S + 1)

    assert list(await broker.get(10)) == [Delivery(first.message, 2)]


async def an_extended_lease_lasts_from_the_extension(broker: BrokerUnderTest, clock: ManualClock) -> None:
    delivery = await _one(broker)
    clock.advance(LEASE_S - 1)
    await broker.extend(delivery)
    clock.advance(LEASE_S - 1)

    assert await _nothing_to_get(broker)
    clock.advance(2)
    assert [(d.message.id, d.number) for d in await broker.get(10)] == [("a", 2)]


async def a_late_extension_still_counts_while_nobody_took_over(
    broker: BrokerUnderTest, clock: ManualClock
) -> None:
    delivery = await _one(broker)
    clock.advance(LEASE_S + 1)
    await broker.extend(delivery)

    assert await _nothing_to_get(broker)


async def a_nacked_message_comes_after_its_delay(broker: BrokerUnderTest, clock: ManualClock) -> None:
    delivery = await _one(broker)
    await broker.nack(delivery, delay_s=5)

    assert await _nothing_to_get(broker)
    clock.advance(5)
    assert list(await broker.get(10)) == [Delivery(delivery.message, 2)]


async def a_dead_letter_is_never_handed_out(broker: BrokerUnderTest, clock: ManualClock) -> None:
    await broker.dead_letter(await _one(broker), reason="poison")
    clock.advance(LEASE_S * 2)

    assert await broker.pending() == 0
    assert await _nothing_to_get(broker)


async def a_lost_lease_settles_nothing(broker: BrokerUnderTest, clock: ManualClock) -> None:
    old = await _one(broker)
    clock.advance(LEASE_S + 1)
    (new,) = await broker.get(10)

    for settle in _settlements(broker, old):
        with pytest.raises(LeaseLostError):
            await settle()
    assert await broker.pending() == 1
    await broker.ack(new)
    assert await broker.pending() == 0


async def a_settled_delivery_cannot_be_settled_again(broker: BrokerUnderTest, clock: ManualClock) -> None:
    delivery = await _one(broker)
    await broker.nack(delivery, delay_s=0)

    for settle in _settlements(broker, delivery):
        with pytest.raises(LeaseLostError):
            await settle()
    assert [d.number for d in await broker.get(10)] == [2]


async def a_drained_broker_hands_out_nothing_but_settles(broker: BrokerUnderTest, clock: ManualClock) -> None:
    delivery = await _one(broker)
    await broker.put(Message("b", "{}", 1.5))
    broker.drain()

    assert list(await broker.get(10)) == []
    await broker.ack(delivery)
    assert await broker.pending() == 1


async def draining_ends_a_wait(broker: BrokerUnderTest, clock: ManualClock) -> None:
    getting = asyncio.create_task(broker.get(1))
    await asyncio.sleep(0)
    broker.drain()

    assert list(await getting) == []


def _settlements(broker: BrokerUnderTest, delivery: Delivery) -> list[Callable[[], Awaitable[None]]]:
    return [
        lambda: broker.ack(delivery),
        lambda: broker.nack(delivery, delay_s=0),
        lambda: broker.extend(delivery),
        lambda: broker.dead_letter(delivery, reason="late"),
    ]


Check = Callable[[BrokerUnderTest, ManualClock], Awaitable[None]]
CHECKS: tuple[Check, ...] = (
    what_is_put_is_handed_out_whole,
    the_same_id_is_one_message,
    no_more_than_the_limit_is_handed_out,
    get_waits_for_a_message,
    an_acked_message_is_done_with,
    a_leased_message_is_not_handed_out_twice,
    a_lease_that_ends_brings_the_message_again,
    an_extended_lease_lasts_from_the_extension,
    a_late_extension_still_counts_while_nobody_took_over,
    a_nacked_message_comes_after_its_delay,
    a_dead_letter_is_never_handed_out,
    a_lost_lease_settles_nothing,
    a_settled_delivery_cannot_be_settled_again,
    a_drained_broker_hands_out_nothing_but_settles,
    draining_ends_a_wait,
)


async def check(check: Check, make: Make) -> None:
    """Run one check against a broker that is made for it."""
    clock = ManualClock()
    async with make(clock) as broker:
        await check(broker, clock)
