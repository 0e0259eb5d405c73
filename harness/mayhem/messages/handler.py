"""Handles one message: restart and save concurrently, under a lease, then ack; failures follow the policy."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import ParamSpec

from opentelemetry.trace import Span, SpanKind

from ..errors import MayhemError, OverdeliveredError, OversizedMessageError
from ..fleet import Fleet
from ..message import Delivery, RestartEvent
from ..operations.failure_ledger import End, FailureLedger
from ..operations.metrics import record_processed
from ..operations.tracing import DESTINATION, from_headers, mark_failed, messaging, span
from ..ports import Broker, Store
from . import policy
from .circuit import Circuits
from .forgiven_deliveries import ForgivenDeliveries
from .lease import Leases
from .settlement import Settlement

log = logging.getLogger(__name__)

P = ParamSpec("P")

# A body is parsed on the loop, which takes some milliseconds at this size; a restart event has 40 bytes.
MAX_BODY_BYTES = 1_000_000


class Handler:
    """Handles any number of deliveries concurrently.

    Args:
        leases: Leases of the same broker, entered by the caller.
        max_deliveries: A message that fails in this delivery is dead-lettered.
        random: Spreads the retries.
    """

    def __init__(
        self,
        broker: Broker,
        store: Store,
        fleet: Fleet,
        *,
        leases: Leases,
        circuits: Circuits,
        failures: FailureLedger,
        max_deliveries: int,
        random: Random,
    ) -> None:
        self._system = broker.system
        self._store = store
        self._fleet = fleet
        self._leases = leases
        self._circuits = circuits
        self._failures = failures
        self._max_deliveries = max_deliveries
        self._random = random
        self._settlement = Settlement(broker, circuits.broker, failures)
        self._forgiven = ForgivenDeliveries()

    async def handle(self, delivery: Delivery) -> None:
        """Handle the message until it is settled.

        If cancelled, hands the message back and re-raises the cancellation.

        Raises:
            Exception: The service must stop; the message was handed back.
        """
        message = delivery.message
        began = time.perf_counter()
        with span(
            f"process {DESTINATION}",
            SpanKind.CONSUMER,
            parent=from_headers(message.headers),
            attributes={
                **messaging(self._system, "process", message.id),
                "mayhem.delivery": delivery.number,
                "mayhem.lease_s": self._leases.lease_s,
            },
        ) as processing:
            try:
                with self._leases.keep(delivery):
                    await self._carry_out(delivery)
            except asyncio.CancelledError as error:
                self._failures.note(error, End.NACKED)
                await self.hand_back(delivery)
                raise
            except Exception as error:
                await self._fail(delivery, error, processing)
            else:
                # Only after the save is durable: an acked message is never lost.
                if await self._settlement.ack(delivery):
                    self._forgiven.forget(message.id)
                else:  # the message is delivered again, through no fault of its own
                    self._forgiven.add(message.id)
            finally:
                record_processed(self._system, time.perf_counter() - began)

    async def hand_back(self, delivery: Delivery) -> None:
        """Hand back, without delay, a message whose handling never began.

        A task that is cancelled before its first step runs nothing of its coroutine, not even a ``finally``.
        """
        self._forgiven.add(delivery.message.id)
        await self._settlement.nack(delivery, delay_s=0)

    async def _carry_out(self, delivery: Delivery) -> None:
        message = delivery.message
        if delivery.number - self._forgiven.of(message.id) > self._max_deliveries:
            raise OverdeliveredError(f"delivered {delivery.number} times without being settled")
        if len(message.body) > MAX_BODY_BYTES:
            raise OversizedMessageError(f"body has {len(message.body)} bytes, more than {MAX_BODY_BYTES}")
        event = RestartEvent.from_body(message.body)
        # A failure of one cancels the other. The restart needs no task, because it runs in this one.
        async with asyncio.TaskGroup() as steps:
            steps.create_task(self._attempt(self._save, message.id, event.host), name=f"save {message.id}")
            await self._attempt(self._restart, event.host)

    async def _restart(self, host: str) -> None:
        circuit = self._circuits.hosts(host)
        circuit.admit()
        with circuit:
            await self._fleet.restart(host)

    async def _save(self, message_id: str, host: str) -> None:
        with span("save", SpanKind.CLIENT, attributes={"host.name": host}):
            with self._circuits.store:
                await self._store.save(message_id, host)

    async def _attempt(self, step: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run the step, and repeat it while the policy allows."""
        for attempt in itertools.count(1):
            try:
                await step(*args, **kwargs)
            except Exception as error:
                delay_s = policy.retry_after_s(error, attempt=attempt, spread=self._random.random())
                if delay_s is None:
                    raise
                self._failures.note(error, End.RETRIED)
                log.info("retrying in place", extra={"attempt": attempt, "error": str(error)})
            else:
                return
            await asyncio.sleep(delay_s)

    async def _fail(self, delivery: Delivery, error: Exception, processing: Span) -> None:
        message_id = delivery.message.id
        mark_failed(processing, error)
        cause = policy.deciding(error)
        decided = policy.verdict(
            cause,
            deliveries=delivery.number,
            forgiven=self._forgiven.of(message_id),
            max_deliveries=self._max_deliveries,
            spread=self._random.random(),
        )
        log.warning(
            "message failed",
            extra={"message_id": message_id, "verdict": repr(decided), "error": repr(cause)},
            # Any other exception is a bug, here or in a broker, store or host: log its traceback.
            exc_info=None if isinstance(cause, MayhemError) else cause,
        )
        match decided:
            case policy.Nack(delay_s, counts):
                self._failures.note(error, End.NACKED)
                if not counts:
                    self._forgiven.add(message_id)
                await self._settlement.nack(delivery, delay_s=delay_s)
            case policy.DeadLetter(reason):
                self._failures.note(error, End.DEAD_LETTERED)
                if await self._settlement.dead_letter(delivery, reason=reason):
                    self._forgiven.forget(message_id)
            case policy.Abandon():
                self._failures.note(error, End.ABANDONED)
            case policy.Stop():
                self._failures.note(error, End.STOPPED)
                self._forgiven.add(message_id)
                # With a delay, because this service goes on pulling until it has ended.
                await self._settlement.nack(delivery, delay_s=policy.NACK_S)
                raise error
