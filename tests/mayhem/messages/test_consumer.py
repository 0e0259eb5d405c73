"""The consumer is bounded, and can be drained and cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from harness.mayhem.brokers.memory.broker import MemoryBroker
from harness.mayhem.errors import StorageUnavailableError
from harness.mayhem.message import Delivery, Message
from harness.mayhem.messages import consumer as consumer_module
from harness.mayhem.messages.consumer import Consumer
from harness.mayhem.operations.failure_ledger import End, FailureLedger
from tests.mayhem.support.clock import LEASE_S

PATIENCE_S = 20


class Gate:
    """A handler that blocks until it is opened, and then acks."""

    def __init__(self, broker: Any) -> None:
        self.broker = broker
        self.opened = asyncio.Event()
        self.in_flight = 0
        self.most = 0
        self.cancelled = 0

    async def handle(self, delivery: Delivery) -> None:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await self.opened.wait()
            await self.broker.ack(delivery)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_flight -= 1

    async def wait_in_flight(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.in_flight < count:
                await asyncio.sleep(0)


async def filled(count: int, kind: type[MemoryBroker] | type[Counting] | type[Any] = MemoryBroker) -> Any:
    broker = kind(lease_s=LEASE_S)
    for number in range(count):
        await broker.put(Message(str(number), b"{}", 1.5))
    return broker


async def test_no_more_in_flight_than_allowed() -> None:
    """With ten messages and three slots, three are in flight at a time, and all ten are handled."""
    broker = await filled(10)
    gate = Gate(broker)
    async with asyncio.timeout(PATIENCE_S):
        consuming = asyncio.create_task(Consumer(broker, gate.handle, concurrency=3).run())
        await gate.wait_in_flight(3)
        gate.opened.set()
        while await broker.pending():
            await asyncio.sleep(0)
        broker.drain()
        await consuming

    assert (gate.most, gate.in_flight) == (3, 0)


async def test_a_settled_message_wakes_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all slots full, no timer is set; the next message is taken a few turns after one is settled."""
    loop, timers = asyncio.get_running_loop(), []
    call_at = loop.call_at

    def noted(*args: Any, **options: Any) -> asyncio.TimerHandle:
        timers.append(args)
        return call_at(*args, **options)

    broker = await filled(2, Counting)
    gate = Gate(broker)
    consuming = asyncio.create_task(Consumer(broker, gate.handle, concurrency=1).run())
    await gate.wait_in_flight(1)
    monkeypatch.setattr(loop, "call_at", noted)
    for _ in range(20):
        await asyncio.sleep(0)
    assert (timers, broker.asked) == ([], [1])
    # Settles the first message, and not the next.
    gate.opened.set()
    gate.opened.clear()
    for _ in range(5):
        await asyncio.sleep(0)
    assert (timers, broker.asked) == ([], [1, 1])
    broker.drain()
    gate.opened.set()
    async with asyncio.timeout(PATIENCE_S):
        await consuming


async def test_drain_finishes_what_is_in_flight_and_takes_no_more() -> None:
    """After the drain, the consumer returns once the messages in flight are settled; the rest stays."""
    broker = await filled(10)
    gate = Gate(broker)
    async with asyncio.timeout(PATIENCE_S):
        consuming = asyncio.create_task(Consumer(broker, gate.handle, concurrency=3).run())
        await gate.wait_in_flight(3)
        broker.drain()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not consuming.done()
        gate.opened.set()
        await consuming

    assert await broker.pending() == 7


class Counting(MemoryBroker):
    """Counts its gets and their limits."""

    async def get(self, limit: int) -> Sequence[Delivery]:
        vars(self).setdefault("asked", []).append(limit)
        return await super().get(limit)


async def test_messages_that_come_one_by_one_are_taken_together() -> None:
    """After a get that returned fewer messages than asked for, the next get gathers those that arrive."""
    broker = await filled(1, Counting)
    gate = Gate(broker)
    gate.opened.set()
    async with asyncio.timeout(PATIENCE_S):
        consuming = asyncio.create_task(Consumer(broker, gate.handle, concurrency=50).run())
        for number in range(1, 101):
            await broker.put(Message(str(number), b"{}", 1.5))
            await asyncio.sleep(0)  # enough for another get
        while await broker.pending():
            await asyncio.sleep(0)
        broker.drain()
        await consuming

    assert len(broker.asked) < 50


async def test_a_drain_ends_the_pause_between_two_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drain ends the pause between two gets."""
    monkeypatch.setattr(consumer_module, "GATHER_S", 3600)
    broker = await filled(2)
    gate = Gate(broker)
    gate.opened.set()
    consumer = Consumer(broker, gate.handle, concurrency=50)
    async with asyncio.timeout(PATIENCE_S):
        consuming = asyncio.create_task(consumer.run())
        while await broker.pending():
            await asyncio.sleep(0)
        consumer.drain()
        await consuming

    assert gate.in_flight == 0


async def test_cancel_reaches_everything_in_hand() -> None:
    """A cancelled consumer leaves no task behind."""
    broker = await filled(10)
    gate = Gate(broker)
    consuming = asyncio.create_task(Consumer(broker, gate.handle, concurrency=3).run())
    await gate.wait_in_flight(3)
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming

    assert (gate.cancelled, gate.in_flight) == (3, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_broker_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that does not answer does not end the consumer."""
    monkeypatch.setattr(consumer_module, "RETRY_S", 0)

    class AwayTwice(MemoryBroker):
        failures = 0

        async def get(self, limit: int) -> Sequence[Delivery]:
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


async def test_handler_that_demands_the_end_ends_everything() -> None:
    """An error in a handler cancels the others and is raised by the consumer."""
    broker = await filled(3)
    gate = Gate(broker)

    async def handle(delivery: Delivery) -> None:
        if delivery.message.id == "2":
            await gate.wait_in_flight(2)
            raise RuntimeError("no more")
        await gate.handle(delivery)

    with pytest.raises(ExceptionGroup) as raised:
        await Consumer(broker, handle, concurrency=3).run()

    assert raised.group_contains(RuntimeError, match="no more")
    assert (gate.cancelled, gate.in_flight) == (2, 0)


async def test_bodies_in_flight_stay_within_their_budget() -> None:
    """As many large messages are in flight as fit, and at most one more; all are handled."""
    broker = MemoryBroker(lease_s=LEASE_S)
    for number in range(30):
        await broker.put(Message(str(number), b"x" * 1000, 1.5))
    gate = Gate(broker)
    consumer = Consumer(broker, gate.handle, concurrency=20, max_bytes=3500)
    async with asyncio.timeout(PATIENCE_S):
        consuming = asyncio.create_task(consumer.run())
        await gate.wait_in_flight(4)
        for _ in range(20):
            await asyncio.sleep(0)
        assert (consumer.in_flight, consumer.bytes_in_flight) == (4, 4000)
        gate.opened.set()
        while await broker.pending():
            await asyncio.sleep(0)
        consumer.drain()
        await consuming

    assert (gate.most, consumer.in_flight, consumer.bytes_in_flight) == (4, 0, 0)


async def test_a_message_larger_than_the_budget_stalls_nobody() -> None:
    """A body larger than the budget is handled alone; those before and after it are handled concurrently."""
    broker = MemoryBroker(lease_s=LEASE_S)
    for number in range(300):
        await broker.put(Message(str(number), b"x" * (10_000 if number == 100 else 10), 1.5))
    in_flight, most, beside_large = 0, [0, 0], 0

    async def handle(delivery: Delivery) -> None:
        nonlocal in_flight, beside_large
        in_flight += 1
        number = int(delivery.message.id)
        most[number > 200] = max(most[number > 200], in_flight)
        for _ in range(5):
            await asyncio.sleep(0)
            if number == 100:
                beside_large = max(beside_large, in_flight - 1)
        in_flight -= 1
        await broker.ack(delivery)

    consumer = Consumer(broker, handle, concurrency=20, max_bytes=5000)
    async with asyncio.timeout(PATIENCE_S):
        consuming = asyncio.create_task(consumer.run())
        while await broker.pending():
            await asyncio.sleep(0)
        consumer.drain()
        await consuming

    assert most[0] == 20
    assert most[1] > 1
    assert beside_large < 20


async def test_limits_change_while_it_runs() -> None:
    """Added slots are used at once, without waiting for a settlement."""
    broker = await filled(10)
    gate = Gate(broker)
    consumer = Consumer(broker, gate.handle, concurrency=2)
    async with asyncio.timeout(PATIENCE_S):
        consuming = asyncio.create_task(consumer.run())
        await gate.wait_in_flight(2)
        consumer.resize(concurrency=5, max_bytes=1000)
        await gate.wait_in_flight(5)
        consumer.drain()
        gate.opened.set()
        await consuming

    assert gate.most == 5


async def test_message_whose_task_never_began_is_handed_back() -> None:
    """A message that arrives just as another stops the consumer is handed back."""
    handled, handed_back = [], []
    failing = asyncio.Event()

    class JustThen(MemoryBroker):
        gets = 0

        async def get(self, limit: int) -> Sequence[Delivery]:
            self.gets += 1
            if self.gets > 1:
                await failing.wait()
            return await super().get(1)

    broker = await filled(2, JustThen)

    async def handle(delivery: Delivery) -> None:
        handled.append(delivery.message.id)
        failing.set()
        raise RuntimeError("no more")

    async def hand_back(delivery: Delivery) -> None:
        handed_back.append(delivery.message.id)
        await broker.nack(delivery, delay_s=0)

    consumer = Consumer(broker, handle, concurrency=3, hand_back=hand_back)
    with pytest.raises(ExceptionGroup):
        await consumer.run()

    assert (handled, handed_back) == (["0"], ["1"])
    assert (consumer.in_flight, consumer.bytes_in_flight) == (0, 0)


async def test_gate_says_how_many_are_pulled() -> None:
    """The gate is awaited before each get, and a drain ends that wait."""
    broker = await filled(10)
    gate = Gate(broker)
    asked, shut = [], asyncio.Event()

    async def one_at_a_time(limit: int) -> int:
        asked.append(limit)
        if len(asked) == 4:
            await shut.wait()
        return 1

    consumer = Consumer(broker, gate.handle, concurrency=5, gate=one_at_a_time)
    async with asyncio.timeout(PATIENCE_S):
        consuming = asyncio.create_task(consumer.run())
        while len(asked) < 4:
            await asyncio.sleep(0)
        await gate.wait_in_flight(3)
        consumer.drain()
        gate.opened.set()
        await consuming

    assert asked == [1, 4, 3, 2]
    assert await broker.pending() == 7


async def test_drain_while_the_broker_is_away() -> None:
    """A drain ends the wait for an unavailable broker."""

    class Away(MemoryBroker):
        async def get(self, limit: int) -> Sequence[Delivery]:
            asked.set()
            raise StorageUnavailableError("away")

    asked = asyncio.Event()
    failures = FailureLedger()
    broker = Away(lease_s=LEASE_S)
    consumer = Consumer(broker, broker.ack, concurrency=1, failures=failures)
    consuming = asyncio.create_task(consumer.run())
    await asked.wait()
    await asyncio.sleep(0)
    consumer.drain()
    async with asyncio.timeout(consumer_module.RETRY_S / 2):
        await consuming

    assert [(failure.kind, failure.end, failure.count) for failure in failures.rows()] == [
        ("StorageUnavailableError", End.RETRIED, 1)
    ]
