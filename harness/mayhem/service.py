"""Wires the parts of the service together, and starts and ends them in order."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from random import Random
from signal import SIGHUP, SIGINT, SIGQUIT, SIGTERM
from typing import TypeVar

from . import backend
from .backend import PublishingBroker
from .cancellation import cancel_and_wait
from .errors import SettingsError, StorageUnavailableError
from .fleet import Fleet
from .messages.circuit import Circuits
from .messages.consumer import Consumer
from .messages.handler import Handler
from .messages.lease import Leases
from .messages.publisher import publish_steadily
from .monkey.monkey import Monkey
from .operations.exception_hook import record_unhandled
from .operations.failure_ledger import End, FailureLedger
from .operations.health import Health
from .operations.metrics import observe
from .process.shutdown import Shutdown
from .process.signal_handler import signal_handlers
from .process.stack_dump import stack_dump
from .process.thread_pool import ThreadPool
from .settings import LIVE, Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

# A health check takes 2 ms, so sixteen threads check thousands of hosts per second.
THREADS = 16
# Interval at which the built-in publisher's events are checked for being settled.
SETTLED_POLL_S = 0.05
# Pause between attempts to connect at the start; it doubles up to the maximum.
RECONNECT_S = 0.5
MAX_RECONNECT_S = 10.0


class Service:
    """One run of the service.

    Args:
        read: Reads the settings again on SIGHUP; raises `SettingsError`.
        health: Updated with the service's state.
    """

    def __init__(self, settings: Settings, *, read: Callable[[], Settings], health: Health) -> None:
        self._settings = settings
        self._read = read
        self._health = health
        self._failures = FailureLedger()
        self._changes: list[Callable[[Settings], object]] = []  # apply new settings on SIGHUP

    async def run(self) -> bool:
        """Consume until a signal, or until the built-in publisher's events are settled.

        Returns:
            Whether all messages in flight were finished; otherwise the rest was handed back.

        Raises:
            ExceptionGroup: An error stopped the service.
        """
        self._loop = asyncio.get_running_loop()
        with record_unhandled(self._failures):
            await self._live()
        log.info("stopped", extra={"cut_short": self._shutdown.was_cut})
        return not self._shutdown.was_cut

    async def _live(self) -> None:
        """Serve, with signal handlers and the loop's heartbeat."""
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(self._health.beat(), name="beat")
            serving = group.create_task(self._serve(), name="service")
            self._shutdown = Shutdown(serving.cancel, drain_s=self._settings.drain_s)
            signals: dict[int, Callable[[], object]] = {
                SIGTERM: lambda: self._shutdown.ask_from_thread("SIGTERM"),
                SIGINT: lambda: self._shutdown.ask_from_thread("SIGINT"),
                SIGHUP: self._reload,
                SIGQUIT: self._dump,
            }
            with signal_handlers(signals), self._shutdown:
                await asyncio.wait({serving})
            beating.cancel()

    async def _serve(self) -> None:
        settings, failures = self._settings, self._failures
        inventory, lease_s = settings.inventory, settings.lease_s
        async with (
            ThreadPool(THREADS) as threads,
            Fleet(inventory.maker(threads), threads, names=inventory.names) as fleet,
            self._connected("store", lambda: backend.store(settings.store_url)) as store,
            self._connected("broker", lambda: backend.broker(settings.broker, lease_s=lease_s)) as broker,
            Leases(broker, failures, lease_s=lease_s) as leases,
        ):
            # SIGHUP may have changed them while connecting.
            settings = self._settings
            limits = settings.circuit_limits
            circuits = Circuits(limits, group_of=lambda host: f"{inventory.kind_of(host)} hosts")
            handler = Handler(
                broker,
                store,
                fleet,
                leases=leases,
                circuits=circuits,
                failures=failures,
                max_deliveries=settings.max_deliveries,
                random=Random(settings.seed),
            )
            consumer = Consumer(
                broker,
                handler.handle,
                hand_back=handler.hand_back,
                gate=circuits.gate.admitted,
                failures=failures,
                concurrency=settings.concurrency,
                max_bytes=settings.max_bytes,
            )
            monkey = Monkey(broker, fleet, settings.groups, seed=settings.seed)
            self._changes += [
                lambda new: circuits.set_limits(new.circuit_limits),
                lambda new: consumer.resize(concurrency=new.concurrency, max_bytes=new.max_bytes),
                lambda new: monkey.change(new.groups),
            ]
            self._observe(consumer, circuits, threads)
            try:
                await self._consume(consumer, broker, monkey, threads)
            finally:
                # Also when an error stops the service.
                failures.log_summary()

    async def _consume(
        self, consumer: Consumer, broker: PublishingBroker, monkey: Monkey, threads: ThreadPool
    ) -> None:
        """Consume until drained, alongside the monkey, the publisher and the health check."""
        stop_publishing = threading.Event()
        async with asyncio.TaskGroup() as group:
            consuming = group.create_task(consumer.run(), name="consumer")
            breaking = group.create_task(monkey.run(), name="monkey")
            asking = group.create_task(self._health.ask(broker), name="ask the broker")
            if self._settings.events:
                publishing = self._publish(broker, threads, stop_publishing)
                group.create_task(publishing, name="publisher")

            def drain() -> None:
                self._health.phase = "draining"
                stop_publishing.set()
                breaking.cancel()  # a new event would prolong the drain
                consumer.drain()

            self._shutdown.drain_by(drain)
            self._health.phase = "consuming"
            log.info("consuming", extra={"broker": broker.system})
            try:
                await asyncio.wait({consuming})
            finally:
                await cancel_and_wait([breaking, asking])

    async def _publish(self, broker: PublishingBroker, threads: ThreadPool, stop: threading.Event) -> None:
        """Publish the events, wait until they are settled, and end the service."""
        settings = self._settings
        try:
            await threads.run(
                publish_steadily,
                broker,
                self._loop,
                stop,
                events=settings.events,
                rate_per_s=settings.rate_per_s,
                hosts=settings.hosts,
                seed=settings.seed,
            )
        finally:
            stop.set()  # cancelling the wait does not end the thread
        # Polled, because other processes may settle the last event.
        while not self._shutdown.asked:
            with suppress(StorageUnavailableError):
                if not await broker.pending():
                    break
            await asyncio.sleep(SETTLED_POLL_S)
        if not self._shutdown.asked:
            self._shutdown.ask("all events settled")

    @asynccontextmanager
    async def _connected(
        self, what: str, connect: Callable[[], AbstractAsyncContextManager[T]]
    ) -> AsyncIterator[T]:
        """Connect; retry while the server is unavailable."""
        pause_s = RECONNECT_S
        async with AsyncExitStack() as stack:
            while True:
                try:
                    connected = await stack.enter_async_context(connect())
                    break
                except StorageUnavailableError as error:
                    self._health.phase = f"waiting for the {what}"
                    self._failures.note(error, End.RETRIED)
                    log.warning("waiting for the %s: %s", what, error, extra={"again_in_s": pause_s})
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, MAX_RECONNECT_S)
            yield connected

    def _observe(self, consumer: Consumer, circuits: Circuits, threads: ThreadPool) -> None:
        """Register the functions that health and metrics call in their threads."""
        health = self._health
        health.circuits = circuits.states
        health.facts = lambda: {"in_hand": consumer.in_flight, "failures": self._failures.totals()}
        observe(
            {
                "mayhem.loop.held": lambda: health.lag_s,
                "mayhem.loop.busy": lambda: health.busy,
                "mayhem.tasks": lambda: len(asyncio.all_tasks(self._loop)),
                "mayhem.messages.in_hand": lambda: consumer.in_flight,
                "mayhem.messages.in_hand.size": lambda: consumer.bytes_in_flight,
                "mayhem.messages.pending": lambda: health.pending or 0,
                "mayhem.threads.busy": lambda: threads.busy,
                "mayhem.threads.waiting": lambda: threads.waiting,
                "mayhem.threads.oldest_wait": lambda: threads.oldest_wait_s,
            }
        )

    def _dump(self) -> None:
        """Log a dump. Runs in the signal thread, because the loop may be blocked."""
        failures = [f"failure {f.kind} at {f.raised_at}: {f.end} {f.count}x" for f in self._failures.rows()]
        log.warning("state on SIGQUIT\n%s", "\n".join([stack_dump(self._loop), *failures]))

    def _reload(self) -> None:
        """Read the settings again. Runs in the signal thread, because reading a file blocks."""
        try:
            new = self._read()
        except SettingsError as error:
            log.error("settings not read again, nothing has changed: %s", error)
        else:
            self._loop.call_soon_threadsafe(self._change, new)

    def _change(self, new: Settings) -> None:
        old = self._settings
        changed = {name for name in Settings.model_fields if getattr(new, name) != getattr(old, name)}
        if kept := sorted(changed - LIVE):
            log.warning("settings that need a restart: %s", ", ".join(kept))
        live = {name: getattr(new, name) for name in sorted(changed & LIVE)}
        self._settings = old.model_copy(update=live)
        self._shutdown.drain_s = self._settings.drain_s
        logging.getLogger().setLevel(self._settings.level)
        for change in self._changes:
            change(self._settings)
        log.info("settings read again", extra={"changed": ", ".join(live) or "nothing"})
