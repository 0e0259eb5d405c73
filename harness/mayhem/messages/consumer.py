"""The loop that pulls messages, and never has more of them in hand than it may."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from ..cancellation import Interruptible
from ..errors import StorageUnavailableError
from ..message import Delivery
from ..operations.failure_ledger import End, FailureLedger
from ..operations.metrics import record_consumed, record_operation
from ..ports import Broker

log = logging.getLogger(__name__)

# As long as the broker is away, one question per second is enough.
RETRY_S = 1.0
# Between two gets, when the first brought fewer messages than were wanted. At once, the second would find the
# next message alone; and a get, a save and an ack of ten together cost little more than of one.
GATHER_S = 0.005
MAX_BYTES = 64_000_000
# What the largest body so far counts for after each smaller one: after some hundred of them next to nothing.
FADING = 0.99


class Consumer:
    """Hands every delivery of the broker to *handle*, in a task of its own.

    Args:
        handle: What it raises ends the consumer, and cancels everything else in hand.
        concurrency: Messages in hand at the same time.
        max_bytes: Of their bodies together. How large a body is shows only when it is here, so as many are
            asked for as fit if they are like the largest of late. What one `get` brings may exceed the limit;
            beyond it nothing is asked for.
        hand_back: Hands back a delivery that nobody began to handle.
        gate: Interruptible until messages are wanted, and says how many of those there is room for.
        failures: Where what the broker raises is counted.
    """

    def __init__(
        self,
        broker: Broker,
        handle: Callable[[Delivery], Awaitable[None]],
        *,
        concurrency: int,
        max_bytes: int = MAX_BYTES,
        hand_back: Callable[[Delivery], Awaitable[None]] | None = None,
        gate: Callable[[int], Awaitable[int]] | None = None,
        failures: FailureLedger | None = None,
    ) -> None:
        self.in_flight = 0
        self.bytes_in_flight = 0
        self._broker = broker
        self._handle = handle
        self._concurrency = concurrency
        self._max_bytes = max_bytes
        self._hand_back = hand_back
        self._gate = gate
        self._failures = failures
        self._largest = 0.0  # body of late; 0 for not known
        self._untouched: dict[tuple[str, int], Delivery] = {}  # whose task has not begun yet
        self._room_changed = asyncio.Event()
        self._interruptible = Interruptible()
        self._next_get = 0.0  # on the monotonic clock

    async def run(self) -> None:
        """Consume until the broker is drained and every message in hand is settled.

        Cancelled, it cancels what is in hand and waits until that has been handed back.

        Raises:
            ExceptionGroup: A message's handling demanded that the service stop.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                while deliveries := await self._take():
                    for delivery in deliveries:
                        self._enter(delivery)
                        tasks.create_task(self._occupy(delivery), name=f"message {delivery.message.id}")
        finally:
            # A task that is cancelled before its first step does nothing at all.
            for delivery in list(self._untouched.values()):
                self._leave(delivery)
                if self._hand_back is not None:
                    await self._hand_back(delivery)

    def drain(self) -> None:
        """Take no more, and end once what is in hand is settled. Called from signal handlers."""
        self._broker.drain()
        self._interruptible.interrupt()
        self._room_changed.set()

    def resize(self, *, concurrency: int, max_bytes: int) -> None:
        """Change the limits from now on; what is in hand beyond them is finished."""
        self._concurrency = concurrency
        self._max_bytes = max_bytes
        self._room_changed.set()

    async def _take(self) -> Sequence[Delivery]:
        """As many messages as there is room for, and at least one; none when the broker is drained."""
        if (gather_s := self._next_get - time.monotonic()) > 0:
            await self._interruptible.wait(asyncio.sleep(gather_s))
        while not (room := self._room()):
            self._room_changed.clear()
            await self._room_changed.wait()
            if self._interruptible.interrupted:
                return []
        if self._gate is not None:
            room = await self._interruptible.wait(self._gate(room)) or 1
        return await self._get(room)

    def _room(self) -> int:
        slots = self._concurrency - self.in_flight
        left_bytes = self._max_bytes - self.bytes_in_flight
        if slots <= 0 or left_bytes <= 0:
            return 0
        # The first is asked for alone: it may be large, and so may all after it.
        alike = left_bytes / self._largest if self._largest else 1
        return max(1, int(min(slots, alike)))

    async def _get(self, limit: int) -> Sequence[Delivery]:
        while True:
            began = time.perf_counter()
            try:
                deliveries = await self._broker.get(limit)
            except StorageUnavailableError as error:
                log.warning("broker away", extra={"broker": self._broker.system}, exc_info=True)
                if self._failures is not None:
                    self._failures.note(error, End.RETRIED)
                await self._interruptible.wait(asyncio.sleep(RETRY_S))
                if self._interruptible.interrupted:
                    return []
            else:
                record_operation(self._broker.system, "receive", time.perf_counter() - began)
                record_consumed(self._broker.system, len(deliveries))
                if len(deliveries) < limit:
                    self._next_get = time.monotonic() + GATHER_S
                return deliveries

    async def _occupy(self, delivery: Delivery) -> None:
        del self._untouched[_key(delivery)]
        try:
            await self._handle(delivery)
        finally:
            self._leave(delivery)

    def _enter(self, delivery: Delivery) -> None:
        size = len(delivery.message.body)
        self._untouched[_key(delivery)] = delivery
        self.in_flight += 1
        self.bytes_in_flight += size
        # Empty bodies as well are known to be small.
        self._largest = max(size, self._largest * FADING, 1.0)

    def _leave(self, delivery: Delivery) -> None:
        self.in_flight -= 1
        self.bytes_in_flight -= len(delivery.message.body)
        self._room_changed.set()


def _key(delivery: Delivery) -> tuple[str, int]:
    return delivery.message.id, delivery.number
