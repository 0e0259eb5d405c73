"""Pulls messages and keeps the number in flight within limits."""

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

# Interval between attempts while the broker is unavailable.
RETRY_S = 1.0
# Pause after a get that returned fewer messages than asked for. Without it, the next get would return a
# single message, and getting, saving and acking ten together costs little more than one.
GATHER_S = 0.005
MAX_BYTES = 64_000_000
# Each smaller body lowers the largest recent size by this factor; it is negligible after a few hundred.
DECAY = 0.99


class Consumer:
    """Passes each delivery of the broker to *handle*, in its own task.

    Args:
        handle: An exception it raises ends the consumer and cancels all other messages in flight.
        concurrency: Maximum messages in flight.
        max_bytes: Maximum total size of their bodies. A body's size is known only after delivery, so the
            consumer asks for as many as fit if they are like the largest recent one. One `get` may exceed
            the limit; at the limit, the consumer asks for none.
        hand_back: Hands back a delivery whose handling never began.
        gate: Given the number of messages there is room for, waits until any may be pulled and returns how
            many.
        failures: Counts what the broker raises.
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
        self._largest = 0.0  # recent body in bytes; 0 if unknown
        self._untouched: dict[tuple[str, int], Delivery] = {}  # whose tasks have not begun
        self._room_changed = asyncio.Event()
        self._interruptible = Interruptible()
        self._next_get = 0.0  # on the monotonic clock

    async def run(self) -> None:
        """Consume until the broker is drained and every message in flight is settled.

        If cancelled, cancels the messages in flight and waits until they are handed back.

        Raises:
            ExceptionGroup: Handling a message failed in a way that must stop the service.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                while deliveries := await self._take():
                    for delivery in deliveries:
                        self._enter(delivery)
                        tasks.create_task(self._occupy(delivery), name=f"message {delivery.message.id}")
        finally:
            # A task that is cancelled before its first step does not run at all.
            for delivery in list(self._untouched.values()):
                self._leave(delivery)
                if self._hand_back is not None:
                    await self._hand_back(delivery)

    def drain(self) -> None:
        """Take no more messages, and end once those in flight are settled. Called from signal handlers."""
        self._broker.drain()
        self._interruptible.interrupt()
        self._room_changed.set()

    def resize(self, *, concurrency: int, max_bytes: int) -> None:
        """Change the limits; messages already in flight beyond them are finished."""
        self._concurrency = concurrency
        self._max_bytes = max_bytes
        self._room_changed.set()

    async def _take(self) -> Sequence[Delivery]:
        """Take at least one message and at most as many as there is room for; none once drained."""
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
        # Ask for a single message while no size is known: all of them may be large.
        alike = left_bytes / self._largest if self._largest else 1
        return max(1, int(min(slots, alike)))

    async def _get(self, limit: int) -> Sequence[Delivery]:
        while True:
            began = time.perf_counter()
            try:
                deliveries = await self._broker.get(limit)
            except StorageUnavailableError as error:
                log.warning("broker unavailable", extra={"broker": self._broker.system}, exc_info=True)
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
        # At least 1: an empty body is a known size, too.
        self._largest = max(size, self._largest * DECAY, 1.0)

    def _leave(self, delivery: Delivery) -> None:
        self.in_flight -= 1
        self.bytes_in_flight -= len(delivery.message.body)
        self._room_changed.set()


def _key(delivery: Delivery) -> tuple[str, int]:
    return delivery.message.id, delivery.number
