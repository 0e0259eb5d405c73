"""The service put together: who uses whom, and in which order they start and end."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Protocol

from .consumer import Consumer
from .fleet import Fleet
from .handler import Handler
from .hosts.simulated import SimulatedHost
from .ports import Broker, Outlet, Store
from .publisher import publish_steadily
from .settings import Settings
from .shutdown import Shutdown
from .threads import Threads
from .unhandled import Unhandled

log = logging.getLogger(__name__)

# Health checks take 2 ms: sixteen threads check thousands of hosts per second.
THREADS = 16
# How often the end of the built-in publisher's events is looked for.
SETTLED_POLL_S = 0.05


class _BrokerWithOutlet(Broker, Outlet, Protocol):
    """A broker this process also publishes into."""


async def serve(settings: Settings) -> bool:
    """Consume until a signal, or until the built-in publisher's events are settled.

    Returns:
        Whether everything in hand was finished; else the rest was handed back.

    Raises:
        StorageError: The database cannot be opened.
        ExceptionGroup: The service had to stop.
    """
    unhandled = Unhandled()
    asyncio.get_running_loop().set_exception_handler(unhandled)
    async with _backends(settings) as (broker, store), Threads(THREADS) as threads:
        handler = Handler(
            broker,
            store,
            Fleet(lambda name: SimulatedHost(name, seed=settings.seed), threads),
            lease_s=settings.lease_s,
            max_deliveries=settings.max_deliveries,
            random=Random(settings.seed),
        )
        consumer = Consumer(broker, handler.handle, concurrency=settings.concurrency)
        stop_publishing = threading.Event()

        def drain() -> None:
            stop_publishing.set()
            broker.drain()

        async with asyncio.TaskGroup() as group:
            consuming = group.create_task(consumer.run(), name="consumer")
            shutdown = Shutdown(drain, consuming.cancel, drain_s=settings.drain_s)
            with shutdown.on_signals():
                log.info("consuming", extra={"broker": broker.system})
                if settings.events:
                    group.create_task(
                        _publish(settings, broker, threads, stop_publishing, shutdown), name="publisher"
                    )
                await asyncio.wait({consuming})
    log.info("stopped", extra={"cut_short": shutdown.was_cut, "unhandled": unhandled.count})
    return not shutdown.was_cut


@asynccontextmanager
async def _backends(settings: Settings) -> AsyncIterator[tuple[_BrokerWithOutlet, Store]]:
    """Broker and store, ready for use; only what is asked for is imported."""
    if settings.memory:
        from .brokers.memory import MemoryBroker
        from .stores.memory import MemoryStore

        yield MemoryBroker(lease_s=settings.lease_s), MemoryStore()
        return

    from .brokers.sqlite import SqliteBroker
    from .database import Database
    from .stores.sqlite import SqliteStore

    async with Database(settings.db) as database:
        broker, store = SqliteBroker(database, lease_s=settings.lease_s), SqliteStore(database)
        await broker.create()
        await store.create()
        yield broker, store


async def _publish(
    settings: Settings,
    broker: _BrokerWithOutlet,
    threads: Threads,
    stop: threading.Event,
    shutdown: Shutdown,
) -> None:
    """Publish the events, wait until they are settled, and end the service."""
    try:
        await threads.run(
            publish_steadily,
            broker,
            asyncio.get_running_loop(),
            stop,
            events=settings.events,
            rate_per_s=settings.rate_per_s,
            hosts=settings.hosts,
            seed=settings.seed,
        )
    finally:
        stop.set()  # cancelling the wait does not end the thread
    # The broker port has no event for this: with other consumers on the same file, nobody could set it.
    while not shutdown.asked and await broker.pending():
        await asyncio.sleep(SETTLED_POLL_S)
    if not shutdown.asked:
        shutdown.ask("all events settled")
