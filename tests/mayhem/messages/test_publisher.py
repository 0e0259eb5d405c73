"""The steady publisher: a thread that calls coroutines on the loop, and can be stopped."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from harness.mayhem.brokers.memory.broker import MemoryBroker
from harness.mayhem.errors import StorageBrokenError, StorageUnavailableError
from harness.mayhem.message import Message, RestartEvent
from harness.mayhem.messages import publisher as publisher_module
from harness.mayhem.messages.publisher import publish_steadily
from harness.mayhem.process.thread_pool import ThreadPool

PATIENCE_S = 20


class FlakyBroker(MemoryBroker):
    """A broker whose `put` fails as the test says."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(lease_s=30)
        self.errors = list(errors)
        self.offered: list[Any] = []
        self.threads: set[Any] = set()
        self.hang = False
        self.hanging = asyncio.Event()
        self.hung_up = False

    async def put(self, message: Message) -> None:
        self.offered.append(message)
        self.threads.add(threading.current_thread())
        if self.hang:
            self.hanging.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.hung_up = True
                raise
        if self.errors:
            raise self.errors.pop(0)
        await super().put(message)


async def publishing(broker: FlakyBroker, stop: threading.Event, **options: Any) -> None:
    """Publish from a thread, as the service does."""
    terms: dict[str, Any] = {"events": 1, "rate_per_s": 1000, "hosts": 3, "seed": 1, **options}
    async with ThreadPool(1) as threads, asyncio.timeout(PATIENCE_S):
        await threads.run(publish_steadily, broker, asyncio.get_running_loop(), stop, **terms)


def hosts(broker: FlakyBroker) -> list[str]:
    return [RestartEvent.from_body(message.body).host for message in broker.offered]


async def test_events_are_published_on_the_loop_from_a_thread() -> None:
    """The coroutine runs in the loop's thread; the same seed chooses the same hosts."""
    one, other = FlakyBroker(), FlakyBroker()
    for broker in (one, other):
        await publishing(broker, threading.Event(), events=20)

    assert await one.pending() == 20
    assert one.threads == {threading.main_thread()}
    assert set(hosts(one)) == {"host-0", "host-1", "host-2"}
    assert hosts(one) == hosts(other)


class Clock(threading.Event):
    """Time that passes only in waits and in slow calls. It is also the event that stops the publisher."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def time(self) -> float:
        return self.now_s

    def wait(self, timeout: float | None = None) -> bool:
        self.now_s += timeout or 0.0
        return self.is_set()


async def test_rate_is_kept_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """No event is early, and a slow call delays only the events that were due during it."""
    clock = Clock()
    monkeypatch.setattr(publisher_module, "time", clock)
    began_s = clock.now_s
    offered_ms = []

    class SlowOnce(FlakyBroker):
        async def put(self, message: Message) -> None:
            offered_ms.append(round((clock.now_s - began_s) * 1000))
            if len(offered_ms) == 4:
                clock.now_s += 0.05
            await super().put(message)

    await publishing(SlowOnce(), clock, events=11, rate_per_s=100)

    assert offered_ms == [0, 10, 20, 30, 80, 80, 80, 80, 80, 90, 100]


async def test_broker_that_is_away_gets_the_same_message_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """No event is skipped, and the broker recognises duplicates by their ids."""
    monkeypatch.setattr(publisher_module, "RETRY_S", 0.01)
    broker = FlakyBroker(StorageUnavailableError("away"), StorageUnavailableError("away"))
    await publishing(broker, threading.Event(), events=2)

    first, again, once_more, second = (message.id for message in broker.offered)
    assert first == again == once_more != second
    assert await broker.pending() == 2


async def test_error_of_the_broker_is_raised_in_the_thread() -> None:
    """Any other error ends the publishing with the coroutine's exception."""
    broker = FlakyBroker(StorageBrokenError("damaged"))
    with pytest.raises(StorageBrokenError, match="damaged"):
        await publishing(broker, threading.Event(), events=5)

    assert len(broker.offered) == 1


async def test_time_out_of_the_broker_is_not_taken_for_ones_own() -> None:
    """A `TimeoutError` of the coroutine is raised, and not taken for the poll's own."""
    with pytest.raises(TimeoutError, match="too slow"):
        await publishing(FlakyBroker(TimeoutError("too slow")), threading.Event())


async def test_stop_ends_the_wait_for_the_next_event() -> None:
    """A slow rate does not delay the stop."""
    broker, stop = FlakyBroker(), threading.Event()
    publisher = asyncio.create_task(publishing(broker, stop, events=2, rate_per_s=0.001))
    async with asyncio.timeout(PATIENCE_S):
        while not broker.offered:
            await asyncio.sleep(0.001)
        stop.set()
        await publisher

    assert len(broker.offered) == 1


async def test_stop_ends_a_publishing_that_hangs() -> None:
    """A broker that does not answer does not block the thread, and the coroutine is cancelled."""
    broker, stop = FlakyBroker(), threading.Event()
    broker.hang = True
    publisher = asyncio.create_task(publishing(broker, stop, events=5))
    async with asyncio.timeout(PATIENCE_S):
        await broker.hanging.wait()
        stop.set()
        await publisher
        while not broker.hung_up:
            await asyncio.sleep(0.001)

    assert len(broker.offered) == 1
