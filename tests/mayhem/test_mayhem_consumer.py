"""The pulling loop: bounded, drained, and cancelled."""

from __future__ import annotations

import asyncio

import pytest

from harness.mayhem import consumer as consumer_module
from harness.mayhem.brokers.memory import MemoryBroker
from harness.mayhem.consumer import Consumer
from harness.mayhem.errors import StorageUnavailableError
from harness.mayhem.message import Message

from .broker_conformance import LEASE_S

PATIENCE_S = 20


class Gate:
    """A handler that holds what it is given until it is opened, and then acks."""

    def __init__(self, broker):
        self.broker = broker
        self.opened = asyncio.Event()
        self.in_hand = 0
        self.most = 0
        self.cancelled = 0

    async def handle(self, delivery):
        self.in_hand += 1
        self.most = max(self.most, self.in_hand)
        try:
            await self.opened.wait()
            await self.broker.ack(delivery)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_hand -= 1

    async def wait_in_hand(self, count):
        async with asyncio.timeout(PATIENCE_S):
            while self.in_hand < count:
                await asyncio.sleep(0)


async def filled(count, kind=MemoryBroker):
    broker = kind(lease_s=LEASE_S)
    for number in range(count):
        await broker.put(Message(str(number), "{}", 1.5))
    return broker


async def test_no_more_in_hand_than_allowed():
    """With ten messages waiting and three slots, three are in hand, and all ten are handled in the end."""
    broker = await filled(10)
    gate = Gate(broker)
    async with asyncio.timeout(PATIENCE_S):
        consuming = asyncio.create_task(Consumer(broker, gate.handle, concurrency=3).run())
        await gate.wait_in_hand(3)
        gate.opened.set()
        while await broker.pending():
            await asyncio.sleep(0)
        broker.drain()
        await consuming

    assert (gate.most, gate.in_hand) == (3, 0)


async def test_drain_finishes_what_is_in_hand_and_takes_no_more():
    """After the drain, the consumer returns once what it holds is settled; the rest stays."""
    broker = await filled(10)
    gate = Gate(broker)
    async with asyncio.timeout(PATIENCE_S):
        consuming = asyncio.create_task(Consumer(broker, gate.handle, concurrency=3).run())
        await gate.wait_in_hand(3)
        broker.drain()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not consuming.done()
        gate.opened.set()
        await consuming

    assert await broker.pending() == 7


async def test_cancel_reaches_everything_in_hand():
    """A cancelled consumer leaves no task behind."""
    broker = await filled(10)
    gate = Gate(broker)
    consuming = asyncio.create_task(Consumer(broker, gate.handle, concurrency=3).run())
    await gate.wait_in_hand(3)
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming

    assert (gate.cancelled, gate.in_hand) == (3, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_broker_that_is_away_is_asked_again(monkeypatch):
    """A broker that fails to answer does not end the consumer."""
    monkeypatch.setattr(consumer_module, "AWAY_S", 0)

    class AwayTwice(MemoryBroker):
        failures = 0

        async def get(self, limit):
            if self.failures < 2:
                self.failures += 1
                raise StorageUnavailableError("locked")
            return await super().get(limit)

    broker = await filled(1, AwayTwice)
    gate = Gate(broker)
    gate.opened.set()
    async with asyncio.timeout(PATIENCE_S):
        consuming = asyncio.create_task(Consumer(broker, gate.handle, concurrency=3).run())
        while await broker.pending():
            await asyncio.sleep(0)
        broker.drain()
        await consuming

    assert broker.failures == 2


async def test_handler_that_demands_the_end_ends_everything():
    """An error out of a handler cancels the others and leaves through the consumer."""
    broker = await filled(3)
    gate = Gate(broker)

    async def handle(delivery):
        if delivery.message.id == "2":
            await gate.wait_in_hand(2)
            raise RuntimeError("no more")
        await gate.handle(delivery)

    with pytest.raises(ExceptionGroup) as raised:
        await Consumer(broker, handle, concurrency=3).run()

    assert raised.group_contains(RuntimeError, match="no more")
    assert (gate.cancelled, gate.in_hand) == (2, 0)
