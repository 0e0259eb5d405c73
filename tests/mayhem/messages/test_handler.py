"""A message's life, and every way in which it can end."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from harness.mayhem.brokers.memory.broker import MemoryBroker
from harness.mayhem.errors import (
    HostUnavailableError,
    LeaseLostError,
    StorageBrokenError,
    StorageUnavailableError,
)
from harness.mayhem.message import Delivery, Message
from harness.mayhem.messages import policy
from harness.mayhem.messages.circuit import CircuitLimits, Circuits
from harness.mayhem.messages.handler import MAX_BODY_BYTES
from harness.mayhem.stores.memory import MemoryStore
from tests.mayhem.support.clock import LEASE_S, ManualClock
from tests.mayhem.support.stage import MAX_DELIVERIES, Stage, failing, forever, staged

# Turns a hang into a failure.
PATIENCE_S = 20


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(clock: ManualClock) -> MemoryBroker:
    return MemoryBroker(lease_s=LEASE_S, clock=clock)


def saves(stage: Stage) -> Counter[str]:
    """How often each message was saved."""
    assert isinstance(stage.store, MemoryStore)
    return stage.store.times


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "RETRY_S", 0.001)


class BrokenStore:
    """Raises the same error on every save."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def save(self, message_id: str, host: str) -> None:
        raise self.error


async def test_success_is_saved_once_and_acked(broker: MemoryBroker) -> None:
    """A message whose host restarts is saved once and acked."""
    async with staged(broker) as stage:
        await stage.handle(await stage.delivery())

        assert stage.host.restarts == 1
        assert saves(stage) == Counter(a=1)
        assert await stage.left() == (0, {})


async def test_restart_and_save_run_at_the_same_time(broker: MemoryBroker) -> None:
    """Restart and save run concurrently."""
    both = asyncio.Barrier(2)

    class MeetingStore(MemoryStore):
        async def save(self, message_id: str, host: str) -> None:
            await both.wait()
            await super().save(message_id, host)

    async def restart() -> None:
        await both.wait()

    async with staged(broker, restart, store=MeetingStore()) as stage:
        async with asyncio.timeout(PATIENCE_S):
            await stage.handle(await stage.delivery())

        assert await stage.left() == (0, {})


async def test_nothing_is_acked_before_it_is_saved(broker: MemoryBroker) -> None:
    """While the save is running, the message is unsettled."""
    saving, saved = asyncio.Event(), asyncio.Event()

    class SlowStore(MemoryStore):
        async def save(self, message_id: str, host: str) -> None:
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


async def test_transient_host_error_is_retried_in_place(broker: MemoryBroker) -> None:
    """A host that answers on the third attempt causes no second delivery or save."""
    script = failing(HostUnavailableError("1"), HostUnavailableError("2"))
    async with staged(broker, script) as stage:
        await stage.handle(await stage.delivery())

        assert stage.host.restarts == 3
        assert saves(stage) == Counter(a=1)
        assert await stage.left() == (0, {})
        assert stage.ended() == {("HostUnavailableError", "retried"): 2}


async def test_failure_is_handed_back_with_a_delay(broker: MemoryBroker, clock: ManualClock) -> None:
    """If the host stays unavailable, its message is handed back with a delay."""
    script = failing(*[HostUnavailableError("away")] * policy.MAX_ATTEMPTS)
    async with staged(broker, script) as stage:
        await stage.handle(await stage.delivery())
        await broker.put(Message("marker", b"{}", 1.5))

        assert [(d.message.id, d.number) for d in await broker.get(2)] == [("marker", 1)]
        clock.advance(policy.NACK_S)
        assert [(d.message.id, d.number) for d in await broker.get(2)] == [("a", 2)]


@pytest.mark.parametrize("error", [HostUnavailableError("away"), ValueError("a bug")])
async def test_failure_at_the_limit_is_laid_aside(
    error: Exception, broker: MemoryBroker, clock: ManualClock
) -> None:
    """A message that fails in its last allowed delivery is dead-lettered with the reason."""
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
        kind = type(error).__name__
        ended = stage.ended()
        assert (ended[kind, "nacked"], ended[kind, "dead-lettered"]) == (MAX_DELIVERIES - 1, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"[]",
        b"{}",
        b'{"host": "", "event": "restart"}',
        b'{"host": 7, "event": "restart"}',
        b'{"host": "h", "event": "stop"}',
        rb'{"host": "a\nb", "event": "restart"}',
        rb'{"host": "\ud800", "event": "restart"}',
        b"\xff\xfe",
    ],
)
async def test_malformed_message_is_laid_aside_at_once(body: bytes, broker: MemoryBroker) -> None:
    """A malformed message is dead-lettered at its first delivery, and no host is restarted."""
    async with staged(broker) as stage:
        await stage.handle(await stage.delivery(body))

        pending, dead_letters = await stage.left()
        assert (pending, stage.host.restarts) == (0, 0)
        assert dead_letters["a"].startswith("body must be JSON")


async def test_message_that_kills_its_consumers_is_laid_aside_unhandled(
    broker: MemoryBroker, clock: ManualClock
) -> None:
    """A message that was delivered too often without being settled is not tried again."""
    async with staged(broker) as stage:
        delivery = await stage.delivery()
        for _ in range(MAX_DELIVERIES):
            clock.advance(LEASE_S + 1)
            (delivery,) = await broker.get(1)
        await stage.handle(delivery)

        assert stage.host.restarts == 0
        assert await stage.left() == (0, {"a": "delivered 4 times without being settled"})


async def test_failing_save_cancels_the_restart(broker: MemoryBroker) -> None:
    """When one of the two fails, the other is cancelled and the message is handed back."""
    ended = []

    async def restart() -> None:
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


async def test_broken_storage_stops_the_service(broker: MemoryBroker, clock: ManualClock) -> None:
    """An error that would affect every message is raised, and the message is handed back."""
    async with staged(broker, store=BrokenStore(StorageBrokenError("damaged"))) as stage:
        delivery = await stage.delivery()
        with pytest.raises(ExceptionGroup) as raised:
            await stage.handle(delivery)

        assert raised.group_contains(StorageBrokenError)
        assert await stage.left() == (1, {})
        assert stage.ended() == {("StorageBrokenError", "stopped"): 1}
        clock.advance(policy.NACK_S)
        assert [d.number for d in await broker.get(1)] == [2]


async def test_lost_lease_cancels_the_work_and_leaves_the_message_alone(
    broker: MemoryBroker, clock: ManualClock
) -> None:
    """Work whose lease was taken over is cancelled, and the other consumer's delivery is not touched."""
    async with staged(broker, forever, lease_s=0.03) as stage:
        delivery = await stage.delivery()
        clock.advance(LEASE_S + 1)
        (taken,) = await broker.get(1)
        async with asyncio.timeout(PATIENCE_S):
            await stage.handle(delivery)

        assert stage.ended() == {("LeaseLostError", "let go"): 1}
        assert await stage.left() == (1, {})
        await broker.ack(taken)
        assert await stage.left() == (0, {})


async def test_failed_extension_is_tried_again(clock: ManualClock) -> None:
    """A broker that is unavailable during one extension does not end the work."""
    extended = asyncio.Event()

    class AwayOnce(MemoryBroker):
        failures = 0

        async def extend(self, delivery: Delivery) -> None:
            if self.failures == 0:
                self.failures += 1
                raise StorageUnavailableError("locked")
            await super().extend(delivery)
            extended.set()

    async def restart() -> None:
        await extended.wait()

    broker = AwayOnce(lease_s=LEASE_S, clock=clock)
    async with staged(broker, restart, lease_s=0.03) as stage:
        async with asyncio.timeout(PATIENCE_S):
            await stage.handle(await stage.delivery())

        assert (broker.failures, await stage.left()) == (1, (0, {}))


async def test_cancelled_work_is_handed_back(broker: MemoryBroker) -> None:
    """A cancelled handler hands its message back at once and re-raises the cancellation."""
    started = asyncio.Event()

    async def restart() -> None:
        started.set()
        await forever()

    async with staged(broker, restart) as stage:
        handling = asyncio.create_task(stage.handle(await stage.delivery()))
        await started.wait()
        handling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handling

        assert [d.number for d in await broker.get(1)] == [2]
        assert stage.ended() == {("CancelledError", "nacked"): 1}


class SlowAckBroker(MemoryBroker):
    """Its ack pauses half-way, where a cancellation would tear it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.acking = asyncio.Event()
        self.may_ack = asyncio.Event()

    async def ack(self, delivery: Delivery) -> None:
        self.acking.set()
        await self.may_ack.wait()
        await super().ack(delivery)


async def test_cancel_does_not_tear_an_ack(clock: ManualClock) -> None:
    """An ack that has begun is finished, even if its handler is cancelled repeatedly."""
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


async def test_cancel_tears_an_ack_that_is_only_awaited(clock: ManualClock) -> None:
    """Control: the same ack is lost without protection."""
    broker = SlowAckBroker(lease_s=LEASE_S, clock=clock)
    async with staged(broker) as stage:
        acking = asyncio.create_task(broker.ack(await stage.delivery()))
        await broker.acking.wait()
        acking.cancel()
        broker.may_ack.set()
        with pytest.raises(asyncio.CancelledError):
            await acking

        assert await stage.left() == (1, {})


class AwayForAck(MemoryBroker):
    async def ack(self, delivery: Delivery) -> None:
        raise StorageUnavailableError("locked")


async def test_failed_ack_leaves_the_message_to_the_broker(clock: ManualClock) -> None:
    """Deliveries whose ack failed do not count, and the message is delivered again."""
    broker = AwayForAck(lease_s=LEASE_S, clock=clock)
    async with staged(broker) as stage:
        delivery = await stage.delivery()
        for number in range(1, MAX_DELIVERIES + 3):
            assert delivery.number == number
            await stage.handle(delivery)
            clock.advance(LEASE_S + 1)
            (delivery,) = await broker.get(1)

        assert await stage.left() == (1, {})
        assert stage.ended() == {("StorageUnavailableError", "let go"): MAX_DELIVERIES + 2}


async def test_oversized_message_is_laid_aside_unread(broker: MemoryBroker) -> None:
    """An oversized body is not parsed."""
    async with staged(broker) as stage:
        await stage.handle(await stage.delivery(b"[" * (MAX_BODY_BYTES + 1)))

        reason = f"body has {MAX_BODY_BYTES + 1} bytes, more than {MAX_BODY_BYTES}"
        assert await stage.left() == (0, {"a": reason})


async def test_store_that_is_away_burns_no_message(broker: MemoryBroker, clock: ManualClock) -> None:
    """Deliveries during an outage of the store do not count towards the limit, not even later."""
    store = BrokenStore(StorageUnavailableError("locked"))
    script = failing(*[ValueError("a bug")] * (MAX_DELIVERIES - 1))
    async with staged(broker, store=store) as stage:
        delivery = await stage.delivery()
        for _ in range(MAX_DELIVERIES * 3):
            await stage.handle(delivery)
            clock.advance(policy.MAX_NACK_S)
            (delivery,) = await broker.get(1)
        store.save = MemoryStore().save  # type: ignore[method-assign]  # it recovers
        stage.host.script = script
        for _ in range(MAX_DELIVERIES - 1):
            await stage.handle(delivery)
            clock.advance(policy.MAX_NACK_S)
            (delivery,) = await broker.get(1)
        assert await stage.left() == (1, {})
        await stage.handle(delivery)

        assert await stage.left() == (0, {})


async def test_open_circuit_spares_hosts_and_messages(broker: MemoryBroker, clock: ManualClock) -> None:
    """Messages for a group with an open circuit wait for its trial, without being counted."""
    circuits = Circuits(CircuitLimits(failures=policy.MAX_ATTEMPTS, pause_s=100.0), clock=clock)
    script = failing(*[HostUnavailableError("away")] * policy.MAX_ATTEMPTS)
    async with staged(broker, script, circuits=circuits) as stage:
        await stage.handle(await stage.delivery())
        assert circuits.states()["hosts"] == "open"
        clock.advance(policy.NACK_S)
        (refused,) = await broker.get(1)
        await stage.handle(refused)
        assert stage.host.restarts == policy.MAX_ATTEMPTS
        assert stage.ended()["CircuitOpenError", "nacked"] == 1
        clock.advance(200)
        (trial,) = await broker.get(1)
        await stage.handle(trial)

        assert trial.number == MAX_DELIVERIES
        assert stage.host.restarts == policy.MAX_ATTEMPTS + 1
        assert await stage.left() == (0, {})
        assert circuits.states()["hosts"] == "closed"


async def test_failing_saves_open_the_store_s_circuit(broker: MemoryBroker, clock: ManualClock) -> None:
    """After enough failed saves the consumer is stopped, and a successful save resumes it."""
    circuits = Circuits(CircuitLimits(failures=2, pause_s=1.0), clock=clock)
    store = BrokenStore(StorageUnavailableError("locked"))
    async with staged(broker, store=store, circuits=circuits) as stage:
        delivery = await stage.delivery()
        for state in ("closed", "open"):
            await stage.handle(delivery)
            assert circuits.states()["store"] == state
            clock.advance(policy.MAX_NACK_S)
            (delivery,) = await broker.get(1)
        assert await circuits.gate.admitted(50) == 1
        store.save = MemoryStore().save  # type: ignore[method-assign]  # it recovers
        await stage.handle(delivery)

        assert circuits.states()["store"] == "closed"


async def test_failing_acks_open_the_broker_s_circuit(clock: ManualClock) -> None:
    """When acks fail, no more messages are pulled, which would be handled twice."""
    circuits = Circuits(CircuitLimits(failures=1), clock=clock)
    async with staged(AwayForAck(lease_s=LEASE_S, clock=clock), circuits=circuits) as stage:
        await stage.handle(await stage.delivery())

        assert circuits.states() == {"store": "closed", "broker": "open", "hosts": "closed"}


async def test_message_that_nobody_began_is_handed_back(broker: MemoryBroker) -> None:
    """The message of a task that is cancelled before its first step can be handed back by others."""
    async with staged(broker) as stage:
        delivery = await stage.delivery()
        handling = asyncio.create_task(stage.handle(delivery))
        handling.cancel()
        await asyncio.wait({handling})
        marker = Message("marker", b"{}", 1.5)
        await broker.put(marker)
        assert [d.message.id for d in await broker.get(2)] == ["marker"]
        await stage.handler.hand_back(delivery)

        assert [(d.message.id, d.number) for d in await broker.get(2)] == [("a", 2)]


async def test_every_error_of_a_group_is_counted(broker: MemoryBroker) -> None:
    """When restart and save both fail, the first error decides, and both are counted."""
    both = asyncio.Barrier(2)

    class FailingStore:
        async def save(self, message_id: str, host: str) -> None:
            await both.wait()
            raise StorageUnavailableError("locked")

    async def restart() -> None:
        await both.wait()
        raise ValueError("a bug")

    async with staged(broker, restart, store=FailingStore()) as stage:
        async with asyncio.timeout(PATIENCE_S):
            await stage.handle(await stage.delivery())

        assert stage.ended() == {("ValueError", "nacked"): 1, ("StorageUnavailableError", "nacked"): 1}


async def test_lease_that_is_lost_during_the_ack_is_no_failure(clock: ManualClock) -> None:
    """A late ack does not affect the next delivery, and is counted."""
    broker = SlowAckBroker(lease_s=LEASE_S, clock=clock)
    async with staged(broker) as stage:
        handling = asyncio.create_task(stage.handle(await stage.delivery()))
        await broker.acking.wait()
        clock.advance(LEASE_S + 1)
        (taken,) = await broker.get(1)
        broker.may_ack.set()
        await handling

        assert await stage.left() == (1, {})
        assert stage.ended() == {(LeaseLostError.__name__, "let go"): 1}
        await broker.ack(taken)


@pytest.mark.parametrize("steps", range(12))
async def test_cancel_at_any_step_loses_nothing(steps: int, clock: ManualClock) -> None:
    """Whenever the handler is cancelled, its message is settled or handed back."""
    broker = MemoryBroker(lease_s=LEASE_S, clock=clock)

    async def restart() -> None:
        await asyncio.sleep(0)

    async with staged(broker, restart) as stage:
        delivery = await stage.delivery()
        handling = asyncio.create_task(stage.handle(delivery))
        for _ in range(steps + 1):  # with none, it would not have begun
            await asyncio.sleep(0)
        handling.cancel()
        await asyncio.wait({handling})
        await broker.put(Message("marker", b"{}", 1.5))
        left = [(d.message.id, d.number) for d in await broker.get(2)]

        assert left == ([("marker", 1)] if stage.ended() == {} else [("a", 2), ("marker", 1)])
        assert saves(stage)["a"] == 1 or left[0] == ("a", 2)


async def test_mocked_coroutines_must_be_awaitable(broker: MemoryBroker) -> None:
    """A store whose save is not awaitable is counted as a bug, and the message is not acked."""

    class Mocked:
        def save(self, message_id: str, host: str) -> None:
            return None

    async with staged(broker, store=Mocked()) as stage:  # type: ignore[arg-type]  # the bug
        await stage.handle(await stage.delivery())

        assert await stage.left() == (1, {})
        assert stage.ended() == {("TypeError", "nacked"): 1}
