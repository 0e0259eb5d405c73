"""One message's life, and each of its ends."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from harness.mayhem import policy
from harness.mayhem.brokers.memory import MemoryBroker
from harness.mayhem.errors import HostUnavailableError, StorageBrokenError, StorageUnavailableError
from harness.mayhem.message import Message
from harness.mayhem.stores.memory import MemoryStore

from .broker_conformance import LEASE_S, ManualClock
from .stage import MAX_DELIVERIES, failing, forever, staged

# A hang is a failure, and not the whole run's.
PATIENCE_S = 20


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def broker(clock):
    return MemoryBroker(lease_s=LEASE_S, clock=clock)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(policy, "RETRY_S", 0.001)


class BrokenStore:
    """Raises the same error at every save."""

    def __init__(self, error):
        self.error = error

    async def save(self, message_id, host):
        raise self.error


async def test_success_is_saved_once_and_acked(broker):
    """A message whose host restarts is saved once and acked."""
    async with staged(broker) as stage:
        await stage.handle(await stage.delivery())

        assert stage.host.restarts == 1
        assert stage.store.times == Counter(a=1)
        assert await stage.left() == (0, {})


async def test_restart_and_save_run_at_the_same_time(broker):
    """Neither the restart nor the save waits for the other to end."""
    both = asyncio.Barrier(2)

    class MeetingStore(MemoryStore):
        async def save(self, message_id, host):
            await both.wait()
            await super().save(message_id, host)

    async def restart():
        await both.wait()

    async with staged(broker, restart, store=MeetingStore()) as stage:
        async with asyncio.timeout(PATIENCE_S):
            await stage.handle(await stage.delivery())

        assert await stage.left() == (0, {})


async def test_nothing_is_acked_before_it_is_saved(broker):
    """As long as the save is on its way, the message is unsettled."""
    saving, saved = asyncio.Event(), asyncio.Event()

    class SlowStore(MemoryStore):
        async def save(self, message_id, host):
            saving.set()
            await saved.wait()

    async with staged(broker, store=SlowStore()) as stage:
        handling = asyncio.create_task(stage.handle(await stage.delivery()))
        await saving.wait()
        while stage.host.restarts == 0:
            await asyncio.sleep(0)
        assert await stage.left() == (1, {})
        saved.set()
        await handling

        assert await stage.left() == (0, {})


async def test_transient_host_error_is_retried_in_place(broker):
    """A host that answers at the third attempt costs no second delivery and no second save."""
    script = failing(HostUnavailableError("1"), HostUnavailableError("2"))
    async with staged(broker, script) as stage:
        await stage.handle(await stage.delivery())

        assert stage.host.restarts == 3
        assert stage.store.times == Counter(a=1)
        assert await stage.left() == (0, {})


async def test_failure_is_handed_back_with_a_delay(broker, clock):
    """A host that stays away sends its message back to the broker, which waits before the next delivery."""
    script = failing(*[HostUnavailableError("away")] * policy.MAX_ATTEMPTS)
    async with staged(broker, script) as stage:
        await stage.handle(await stage.delivery())
        await broker.put(Message("marker", "{}", 1.5))

        assert [(d.message.id, d.number) for d in await broker.get(2)] == [("marker", 1)]
        clock.advance(policy.NACK_S)
        assert [(d.message.id, d.number) for d in await broker.get(2)] == [("a", 2)]


@pytest.mark.parametrize("error", [HostUnavailableError("away"), ValueError("a bug")])
async def test_failure_at_the_limit_is_laid_aside(error, broker, clock):
    """After the last delivery that is allowed, a message that fails is a dead letter with its reason."""
    script = failing(*[error] * 100)
    async with staged(broker, script) as stage:
        delivery = await stage.delivery()
        for number in range(1, MAX_DELIVERIES + 1):
            assert delivery.number == number
            await stage.handle(delivery)
            if number < MAX_DELIVERIES:
                clock.advance(policy.MAX_NACK_S)
                (delivery,) = await broker.get(1)

        reason = f"delivery {MAX_DELIVERIES} failed: {type(error).__name__}: {error}"
        assert await stage.left() == (0, {"a": reason})


@pytest.mark.parametrize(
    "body",
    [
        "not json",
        "[]",
        "{}",
        '{"host": "", "event": "restart"}',
        '{"host": 7, "event": "restart"}',
        '{"host": "h", "event": "stop"}',
        r'{"host": "a\nb", "event": "restart"}',
        r'{"host": "\ud800", "event": "restart"}',
    ],
)
async def test_malformed_message_is_laid_aside_at_once(body, broker):
    """What is no restart event is a dead letter at its first delivery; no host is touched."""
    async with staged(broker) as stage:
        await stage.handle(await stage.delivery(body))

        pending, dead_letters = await stage.left()
        assert (pending, stage.host.restarts) == (0, 0)
        assert dead_letters["a"].startswith("body must be JSON")


async def test_message_that_kills_its_consumers_is_laid_aside_unhandled(broker, clock):
    """A message that was handed out too often without being settled is not tried once more."""
    async with staged(broker) as stage:
        delivery = await stage.delivery()
        for _ in range(MAX_DELIVERIES):
            clock.advance(LEASE_S + 1)
            (delivery,) = await broker.get(1)
        await stage.handle(delivery)

        assert stage.host.restarts == 0
        assert await stage.left() == (0, {"a": "delivered 4 times without being settled"})


async def test_failing_save_cancels_the_restart(broker):
    """When one of the two fails, the other is cancelled and the message handed back."""
    ended = []

    async def restart():
        try:
            await forever()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async with staged(broker, restart, store=BrokenStore(StorageUnavailableError("locked"))) as stage:
        async with asyncio.timeout(PATIENCE_S):
            await stage.handle(await stage.delivery())

        assert ended == ["cancelled"]
        assert await stage.left() == (1, {})


async def test_broken_storage_stops_the_service(broker, clock):
    """An error that every message would meet travels on, and the message is handed back."""
    async with staged(broker, store=BrokenStore(StorageBrokenError("damaged"))) as stage:
        delivery = await stage.delivery()
        with pytest.raises(ExceptionGroup) as raised:
            await stage.handle(delivery)

        assert raised.group_contains(StorageBrokenError)
        assert await stage.left() == (1, {})
        clock.advance(policy.NACK_S)
        assert [d.number for d in await broker.get(1)] == [2]


async def test_lost_lease_cancels_the_work_and_leaves_the_message_alone(broker, clock):
    """Work whose lease another consumer took over is ended, and nothing of the other's is touched."""
    async with staged(broker, forever, lease_s=0.03) as stage:
        delivery = await stage.delivery()
        clock.advance(LEASE_S + 1)
        (taken,) = await broker.get(1)
        async with asyncio.timeout(PATIENCE_S):
            await stage.handle(delivery)

        assert await stage.left() == (1, {})
        await broker.ack(taken)
        assert await stage.left() == (0, {})


async def test_failed_extension_is_tried_again(clock):
    """A broker that is away for one extension does not end the work."""
    extended = asyncio.Event()

    class AwayOnce(MemoryBroker):
        failures = 0

        async def extend(self, delivery):
            if self.failures == 0:
                self.failures += 1
                raise StorageUnavailableError("locked")
            await super().extend(delivery)
            extended.set()

    async def restart():
        await extended.wait()

    broker = AwayOnce(lease_s=LEASE_S, clock=clock)
    async with staged(broker, restart, lease_s=0.03) as stage:
        async with asyncio.timeout(PATIENCE_S):
            await stage.handle(await stage.delivery())

        assert (broker.failures, await stage.left()) == (1, (0, {}))


async def test_cancelled_work_is_handed_back(broker):
    """A cancelled handler hands its message back at once, and the cancellation travels on."""
    started = asyncio.Event()

    async def restart():
        started.set()
        await forever()

    async with staged(broker, restart) as stage:
        handling = asyncio.create_task(stage.handle(await stage.delivery()))
        await started.wait()
        handling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handling

        assert [d.number for d in await broker.get(1)] == [2]


class SlowAckBroker(MemoryBroker):
    """Its ack waits in the middle, where a cancel would tear it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.acking = asyncio.Event()
        self.may_ack = asyncio.Event()

    async def ack(self, delivery):
        self.acking.set()
        await self.may_ack.wait()
        await super().ack(delivery)


async def test_cancel_does_not_tear_an_ack(clock):
    """An ack that has begun is finished, however often its handler is cancelled meanwhile."""
    broker = SlowAckBroker(lease_s=LEASE_S, clock=clock)
    async with staged(broker) as stage:
        handling = asyncio.create_task(stage.handle(await stage.delivery()))
        await broker.acking.wait()
        for _ in range(2):
            handling.cancel()
            await asyncio.sleep(0)
        assert await stage.left() == (1, {})
        broker.may_ack.set()
        with pytest.raises(asyncio.CancelledError):
            await handling

        assert await stage.left() == (0, {})


async def test_cancel_tears_an_ack_that_is_only_awaited(clock):
    """The control: the same ack, awaited without protection, is lost."""
    broker = SlowAckBroker(lease_s=LEASE_S, clock=clock)
    async with staged(broker) as stage:
        acking = asyncio.create_task(broker.ack(await stage.delivery()))
        await broker.acking.wait()
        acking.cancel()
        broker.may_ack.set()
        with pytest.raises(asyncio.CancelledError):
            await acking

        assert await stage.left() == (1, {})


async def test_failed_ack_leaves_the_message_to_the_broker(clock):
    """An ack that the broker cannot take is no failure of the message: it simply comes again."""

    class AwayForAck(MemoryBroker):
        async def ack(self, delivery):
            raise StorageUnavailableError("locked")

    broker = AwayForAck(lease_s=LEASE_S, clock=clock)
    async with staged(broker) as stage:
        await stage.handle(await stage.delivery())
        clock.advance(LEASE_S + 1)

        assert [d.number for d in await broker.get(1)] == [2]
