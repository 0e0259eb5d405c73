"""Settlements and leases under cancellation."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from harness.mayhem.brokers.memory.broker import MemoryBroker
from harness.mayhem.cancellation import finish_despite_cancel
from harness.mayhem.errors import LeaseLostError, StorageBrokenError, StorageUnavailableError
from harness.mayhem.message import Delivery, Message
from harness.mayhem.messages import settlement as settlement_module
from harness.mayhem.messages.circuit import Circuits
from harness.mayhem.messages.lease import Leases
from harness.mayhem.messages.settlement import Settlement
from harness.mayhem.operations.failure_ledger import FailureLedger
from tests.mayhem.support.clock import LEASE_S

PATIENCE_S = 20
LEASE_OF_TESTS_S = 0.03


def delivery(message_id: str = "a") -> Delivery:
    return Delivery(Message(message_id, b"{}", 1.5), 1)


class Call:
    """A call that runs until it is released."""

    def __init__(self, error: StorageUnavailableError | None = None) -> None:
        self.error = error
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.ended = ""

    async def run(self) -> None:
        self.begun.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        if self.error is not None:
            raise self.error
        self.ended = "finished"


async def cancelled_twice(waiting: asyncio.Task[Any], call: Call) -> None:
    await call.begun.wait()
    for _ in range(2):
        waiting.cancel()
        await asyncio.sleep(0)
    assert not waiting.done()


async def test_untorn_finishes_first() -> None:
    """A call that has begun is finished when its caller is cancelled; then the cancellation is raised."""
    call = Call()
    waiting = asyncio.create_task(finish_despite_cancel(call.run()))
    await cancelled_twice(waiting, call)
    call.may_end.set()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.wait({waiting})

    assert (waiting.cancelled(), call.ended) == (True, "finished")


async def test_shield_alone_lets_go() -> None:
    """Control: with `asyncio.shield`, the caller returns while the call still runs without an owner."""
    call = Call()
    running = asyncio.create_task(call.run())
    waiting = asyncio.ensure_future(asyncio.shield(running))
    await call.begun.wait()
    waiting.cancel()
    await asyncio.sleep(0)

    assert (waiting.cancelled(), running.done()) == (True, False)
    call.may_end.set()
    await running


async def test_untorn_reports_what_failed_meanwhile() -> None:
    """The error of a call whose caller was cancelled becomes a note on the cancellation."""
    call = Call(StorageUnavailableError("locked"))
    waiting = asyncio.create_task(finish_despite_cancel(call.run()))
    await cancelled_twice(waiting, call)
    call.may_end.set()
    with pytest.raises(asyncio.CancelledError) as raised:
        await waiting

    assert raised.value.__notes__ == ["and meanwhile: StorageUnavailableError: locked"]


async def test_untorn_does_not_wait_for_ever() -> None:
    """A broker that never answers delays a cancelled caller for a limited time."""
    call = Call()
    waiting = asyncio.create_task(finish_despite_cancel(call.run(), finish_s=0.05))
    await cancelled_twice(waiting, call)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(asyncio.CancelledError) as raised:
            await waiting

    assert call.ended == "cancelled"
    assert raised.value.__notes__ == ["and meanwhile: not finished within 0.05 s"]


async def test_untorn_raises_what_the_call_raises() -> None:
    """Without a cancellation, it is a plain await."""
    call = Call(StorageUnavailableError("locked"))
    call.may_end.set()
    with pytest.raises(StorageUnavailableError):
        await finish_despite_cancel(call.run())


async def test_settlements_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each settlement is recorded with its verdict, a failed one as let-go, and each call with its name."""
    settled: list[Any] = []
    operations: list[Any] = []
    monkeypatch.setattr(settlement_module, "record_settled", settled.append)
    monkeypatch.setattr(settlement_module, "record_operation", lambda *call: operations.append(call[:2]))
    broker = MemoryBroker(lease_s=LEASE_S)
    settlement = Settlement(broker, Circuits().broker, FailureLedger())
    for number in range(3):
        await broker.put(Message(str(number), b"{}", 1.5))
    first, second, third = await broker.get(3)
    await settlement.ack(first)
    await settlement.nack(second, delay_s=60)
    await settlement.dead_letter(third, reason="poison")
    await settlement.ack(first)

    assert settled == ["ack", "nack", "dead-letter", "let-go"]
    assert operations == [("memory", name) for name in ("ack", "nack", "dead-letter", "ack")]


async def test_bug_in_a_broker_is_not_taken_for_a_settlement() -> None:
    """Errors other than those of the storage are raised."""

    class Buggy(MemoryBroker):
        async def ack(self, delivery: Delivery) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Settlement(Buggy(lease_s=LEASE_S), Circuits().broker, FailureLedger()).ack(delivery())


class CountingBroker(MemoryBroker):
    """Counts extensions, and fails as the test says."""

    def __init__(self, errors: Any = None) -> None:
        super().__init__(lease_s=LEASE_S)
        self.extended: Counter[str] = Counter()
        self.changed = asyncio.Event()
        self.errors = errors or {}
        self.hanging: set[Any] = set()

    async def extend(self, delivery: Delivery) -> None:
        self.extended[delivery.message.id] += 1
        self.changed.set()
        if delivery.message.id in self.hanging:
            await asyncio.Event().wait()
        if error := self.errors.get(delivery.message.id):
            raise error

    async def wait_extended(self, message_id: str, times: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.extended[message_id] < times:
                self.changed.clear()
                await self.changed.wait()


async def test_one_task_keeps_all_leases() -> None:
    """The leases of twenty messages are extended repeatedly, with one task while none is due."""
    broker = CountingBroker()

    async def work(number: int) -> None:
        with leases.keep(delivery(str(number))):
            await done.wait()

    done = asyncio.Event()
    before = len(asyncio.all_tasks())
    async with Leases(broker, FailureLedger(), lease_s=LEASE_OF_TESTS_S) as leases:
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(work(number))
            await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == before + 20 + 1
            for number in range(20):
                await broker.wait_extended(str(number), 3)
            done.set()
    kept = dict(broker.extended)
    await asyncio.sleep(LEASE_OF_TESTS_S)

    assert broker.extended == kept
    assert len(asyncio.all_tasks()) == before


async def test_settled_messages_are_not_extended() -> None:
    """A message that is settled within a third of its lease is not extended."""
    broker = CountingBroker()
    async with Leases(broker, FailureLedger(), lease_s=PATIENCE_S) as leases:
        for number in range(100):
            with leases.keep(delivery(str(number))):
                await asyncio.sleep(0)

    assert broker.extended == Counter()


@pytest.mark.parametrize(
    "loss", [LeaseLostError("taken"), StorageBrokenError("damaged"), ZeroDivisionError()]
)
async def test_lost_lease_ends_the_work_with_its_reason(loss: Exception) -> None:
    """The work is cancelled, the loss is raised, and the task can go on."""
    broker = CountingBroker({"a": loss})
    async with Leases(broker, FailureLedger(), lease_s=LEASE_OF_TESTS_S) as leases:
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(type(loss)) as raised:
                with leases.keep(delivery()):
                    await asyncio.Event().wait()
            await asyncio.sleep(0)  # nothing is left of the cancellation

        assert raised.value is loss
        task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_lost_lease_does_not_hide_a_cancellation() -> None:
    """A cancellation from elsewhere takes precedence over the lost lease."""
    broker = CountingBroker()

    async def work() -> None:
        with leases.keep(delivery()):
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("ended")

    ended: list[Any] = []
    async with Leases(broker, FailureLedger(), lease_s=PATIENCE_S) as leases:
        working = asyncio.create_task(work())
        await asyncio.sleep(0)
        (kept,) = leases._kept
        kept.lose(LeaseLostError("taken"))
        working.cancel()
        await asyncio.wait({working})

    assert (working.cancelled(), ended) == (True, ["ended"])


async def test_slow_extension_does_not_lose_the_others() -> None:
    """A slow extension is not repeated concurrently, and the other leases are extended."""
    broker = CountingBroker()
    broker.hanging.add("slow")
    async with Leases(broker, FailureLedger(), lease_s=LEASE_OF_TESTS_S) as leases:
        with leases.keep(delivery("slow")), leases.keep(delivery("other")):
            await broker.wait_extended("other", 5)

    assert broker.extended["slow"] == 1


async def test_extension_that_came_too_late_is_let_go() -> None:
    """A lease that is reported lost after the settlement has no effect, and is counted."""
    broker, failures = CountingBroker(), FailureLedger()
    may_fail = asyncio.Event()

    async def extend(delivery: Delivery) -> None:
        broker.extended[delivery.message.id] += 1
        broker.changed.set()
        await may_fail.wait()
        raise LeaseLostError("settled")

    broker.extend = extend  # type: ignore[method-assign]  # for this broker only
    async with Leases(broker, failures, lease_s=LEASE_OF_TESTS_S) as leases:
        with leases.keep(delivery()):
            await broker.wait_extended("a", 1)
        may_fail.set()
        async with asyncio.timeout(PATIENCE_S):
            while not failures.rows():
                await asyncio.sleep(0)

    assert [(row.kind, str(row.end), row.count) for row in failures.rows()] == [
        ("LeaseLostError", "let go", 1)
    ]


async def test_unavailable_broker_is_asked_again_for_the_lease() -> None:
    """A temporary error of an extension does not lose the lease, and is counted as retried."""
    broker, failures = CountingBroker({"a": StorageUnavailableError("locked")}), FailureLedger()
    async with Leases(broker, failures, lease_s=LEASE_OF_TESTS_S) as leases:
        with leases.keep(delivery()):
            await broker.wait_extended("a", 3)

    assert failures.totals()["retried"] >= 2
