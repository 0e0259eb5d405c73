"""A stage for one message: a broker in memory, a store, and scripted hosts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

from harness.mayhem.brokers.memory.broker import MemoryBroker
from harness.mayhem.fleet import Fleet
from harness.mayhem.message import Delivery, Message, RestartEvent
from harness.mayhem.messages.circuit import Circuits
from harness.mayhem.messages.handler import Handler
from harness.mayhem.messages.lease import Leases
from harness.mayhem.operations.failure_ledger import FailureLedger
from harness.mayhem.ports import Store
from harness.mayhem.process.thread_pool import ThreadPool
from harness.mayhem.stores.memory import MemoryStore

MAX_DELIVERIES = 3


async def nothing() -> None:
    """A restart that succeeds at once."""


class ScriptedHost:
    """Runs *script* on each restart, and counts restarts."""

    def __init__(self, script: Callable[[], Awaitable[None]] = nothing) -> None:
        self.script = script
        self.restarts = 0

    async def restart(self) -> None:
        self.restarts += 1
        await self.script()

    def check_health(self) -> None:
        """Always healthy."""


class Stage:
    """A handler and its dependencies."""

    def __init__(
        self,
        broker: MemoryBroker,
        store: Store,
        host: ScriptedHost,
        handler: Handler,
        circuits: Circuits,
        failures: FailureLedger,
    ) -> None:
        self.broker = broker
        self.store = store
        self.host = host
        self.handler = handler
        self.handle = handler.handle
        self.circuits = circuits
        self.failures = failures

    async def delivery(self, body: bytes | None = None) -> Delivery:
        """Publish one message and take it."""
        await self.broker.put(Message("a", body or RestartEvent("web-1").to_body(), 1.5))
        (delivery,) = await self.broker.get(1)
        return delivery

    async def left(self) -> tuple[int, dict[str, str]]:
        """The number of unsettled messages, and the dead letters' reasons."""
        dead = await self.broker.dead_letters()
        return await self.broker.pending(), {aside.delivery.message.id: aside.reason for aside in dead}

    def ended(self) -> dict[tuple[str, str], int]:
        """The number of exceptions by type and end."""
        counts: dict[tuple[str, str], int] = {}
        for row in self.failures.rows():
            counts[row.kind, str(row.end)] = counts.get((row.kind, str(row.end)), 0) + row.count
        return counts


@asynccontextmanager
async def staged(
    broker: MemoryBroker,
    script: Callable[[], Awaitable[None]] = nothing,
    *,
    store: Store | None = None,
    lease_s: float = 30.0,
    circuits: Circuits | None = None,
    failures: FailureLedger | None = None,
) -> AsyncIterator[Stage]:
    """A stage whose only host runs *script*; *lease_s* is the handler's, in real time."""
    host = ScriptedHost(script)
    store, circuits, failures = store or MemoryStore(), circuits or Circuits(), failures or FailureLedger()
    async with ThreadPool(2) as threads, Leases(broker, failures, lease_s=lease_s) as leases:
        handler = Handler(
            broker,
            store,
            Fleet(lambda name: host, threads),
            leases=leases,
            circuits=circuits,
            failures=failures,
            max_deliveries=MAX_DELIVERIES,
            random=Random(1),
        )
        yield Stage(broker, store, host, handler, circuits, failures)


def failing(*errors: Exception) -> Callable[[], Awaitable[None]]:
    """Return a script that raises these errors, one per call, and then succeeds."""
    left = list(errors)

    async def script() -> None:
        if left:
            raise left.pop(0)

    return script


async def forever() -> None:
    """A restart that hangs."""
    await asyncio.Event().wait()
