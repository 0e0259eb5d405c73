"""The loop that pulls messages, and never has more of them in hand than it may."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from .errors import StorageUnavailableError
from .message import Delivery
from .ports import Broker

log = logging.getLogger(__name__)

# As long as the broker is away, one question per second is enough.
AWAY_S = 1.0


class Consumer:
    """Hands every delivery of the broker to *handle*, in a task of its own, *concurrency* at a time."""

    def __init__(
        self, broker: Broker, handle: Callable[[Delivery], Awaitable[None]], *, concurrency: int
    ) -> None:
        self._broker = broker
        self._handle = handle
        self._slots = asyncio.Semaphore(concurrency)

    async def run(self) -> None:
        """Consume until the broker is drained and every message in hand is settled.

        Cancelled, it cancels what is in hand and waits until that has been handed back.

        Raises:
            ExceptionGroup: A message's handling demanded that the service stop.
        """
        async with asyncio.TaskGroup() as in_hand:
            while deliveries := await self._take():
                for delivery in deliveries:
                    in_hand.create_task(self._occupy(delivery), name=f"message {delivery.message.id}")

    async def _take(self) -> list[Delivery]:
        """As many messages as there are free slots, and at least one; none when the broker is drained."""
        slots = 0
        while slots == 0 or not self._slots.locked():
            await self._slots.acquire()
            slots += 1
        deliveries = await self._get(slots)
        for _ in range(slots - len(deliveries)):
            self._slots.release()
        return deliveries

    async def _get(self, limit: int) -> list[Delivery]:
        while True:
            try:
                return list(await self._broker.get(limit))
            except StorageUnavailableError:
                log.warning("broker away", extra={"broker": self._broker.system}, exc_info=True)
                await asyncio.sleep(AWAY_S)

    async def _occupy(self, delivery: Delivery) -> None:
        try:
            await self._handle(delivery)
        finally:
            self._slots.release()
