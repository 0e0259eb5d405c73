"""A broker in this process's memory, for tests and first steps."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from ...message import DeadLettered, Delivery, Message

# Duplicates are published within minutes. Keeping every id would take 8 MB a minute at 1,000 messages per
# second.
KNOWN_IDS = 100_000


@asynccontextmanager
async def connect(url: str, *, lease_s: float) -> AsyncIterator[MemoryBroker]:
    """Make a new broker, which no other connection can reach; only the scheme of *url* counts."""
    yield MemoryBroker(lease_s=lease_s)


@dataclass(slots=True)
class _Unsettled:
    message: Message
    visible_at: float  # when it may be delivered; leases and delays both move it
    deliveries: int = 0
    leased: int = 0  # the delivery that holds it, 0 for none


class MemoryBroker:
    """Keeps unsettled messages, dead letters, and the ids of the latest messages."""

    system = "memory"

    def __init__(self, *, lease_s: float, clock: Callable[[], float] = time.time) -> None:
        self._lease_s = lease_s
        self._clock = clock
        self._known: dict[str, None] = {}
        self._dead: list[DeadLettered] = []
        self._unsettled: dict[str, _Unsettled] = {}
        # (visible_at, number, id). An entry whose time has changed stays, and is skipped when popped.
        self._due: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()  # keeps the order of messages that are due at the same time
        self._changed = asyncio.Event()
        self._draining = False

    async def put(self, message: Message) -> None:
        if message.id not in self._known and message.id not in self._unsettled:
            self._known[message.id] = None
            if len(self._known) > KNOWN_IDS:
                del self._known[next(iter(self._known))]
            self._unsettled[message.id] = _Unsettled(message, visible_at=0.0)
            self._show(message.id, at=self._clock())

    async def get(self, limit: int) -> Sequence[Delivery]:
        while not self._draining:
            if deliveries := self._claim(limit):
                return deliveries
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._due[0][0] - self._clock() if self._due else None):
                    await self._changed.wait()
        return []

    async def ack(self, delivery: Delivery) -> None:
        self._held(delivery)
        del self._unsettled[delivery.message.id]

    async def nack(self, delivery: Delivery, *, delay_s: float) -> None:
        self._held(delivery).leased = 0
        self._show(delivery.message.id, at=self._clock() + delay_s)

    async def extend(self, delivery: Delivery) -> None:
        self._held(delivery)
        self._show(delivery.message.id, at=self._clock() + self._lease_s)

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> None:
        await self.ack(delivery)
        self._dead.append(DeadLettered(delivery, reason))

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadLettered]:
        return self._dead[:limit]

    async def pending(self) -> int:
        return len(self._unsettled)

    def drain(self) -> None:
        self._draining = True
        self._changed.set()

    def _claim(self, limit: int) -> list[Delivery]:
        now = self._clock()
        deliveries: list[Delivery] = []
        while self._due and len(deliveries) < limit and self._due[0][0] <= now:
            visible_at, _, message_id = heapq.heappop(self._due)
            entry = self._unsettled.get(message_id)
            if entry is None or entry.visible_at != visible_at:
                continue
            entry.deliveries += 1
            entry.leased = entry.deliveries
            self._show(message_id, at=now + self._lease_s)
            deliveries.append(Delivery(entry.message, entry.deliveries))
        return deliveries

    def _show(self, message_id: str, *, at: float) -> None:
        self._unsettled[message_id].visible_at = at
        heapq.heappush(self._due, (at, next(self._numbers), message_id))
        self._changed.set()

    def _held(self, delivery: Delivery) -> _Unsettled:
        entry = self._unsettled.get(delivery.message.id)
        if entry is None or entry.leased != delivery.number:
            raise delivery.lost()
        return entry
