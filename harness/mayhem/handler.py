"""One message's life: restart and save at once, under a lease, then ack; or what the policy says."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from random import Random

from opentelemetry.trace import Span, SpanKind

from . import policy
from .errors import MayhemError, OverdeliveredError
from .fleet import Fleet
from .lease import kept
from .message import Delivery, RestartEvent
from .ports import Broker, Store
from .settlement import Settlement
from .tracing import DESTINATION, from_headers, mark_failed, messaging, root_cause, span

log = logging.getLogger(__name__)


class Handler:
    """Handles deliveries, any number at a time.

    Args:
        lease_s: The broker's lease.
        max_deliveries: A message that fails in this delivery is laid aside.
        random: Spreads the retries.
    """

    def __init__(
        self,
        broker: Broker,
        store: Store,
        fleet: Fleet,
        *,
        lease_s: float,
        max_deliveries: int,
        random: Random,
    ) -> None:
        self._broker = broker
        self._store = store
        self._fleet = fleet
        self._lease_s = lease_s
        self._max_deliveries = max_deliveries
        self._random = random
        self._settlement = Settlement(broker)

    async def handle(self, delivery: Delivery) -> None:
        """See the message through to its settlement.

        Cancelled, it hands the message back and lets the cancellation travel on.

        Raises:
            Exception: The service must stop; the message was handed back.
        """
        with span(
            f"process {DESTINATION}",
            SpanKind.CONSUMER,
            parent=from_headers(delivery.message.headers),
            attributes={
                **messaging(self._broker.system, "process", delivery.message.id),
                "mayhem.delivery": delivery.number,
            },
        ) as processing:
            try:
                await self._carry_out(delivery)
            except asyncio.CancelledError:
                await self._settlement.nack(delivery, delay_s=0)
                raise
            except Exception as error:
                await self._fail(delivery, error, processing)
            else:
                # Only now, when the save is durable: what is acked is never lost.
                await self._settlement.ack(delivery)

    async def _carry_out(self, delivery: Delivery) -> None:
        if delivery.number > self._max_deliveries:
            raise OverdeliveredError(f"delivered {delivery.number} times without being settled")
        event = RestartEvent.from_body(delivery.message.body)
        async with kept(self._broker, delivery, self._lease_s):
            # The one that fails cancels the other.
            async with asyncio.TaskGroup() as steps:
                steps.create_task(
                    self._attempt(lambda: self._fleet.restart(event.host)), name=f"restart {event.host}"
                )
                steps.create_task(
                    self._attempt(lambda: self._save(delivery.message.id, event.host)),
                    name=f"save {delivery.message.id}",
                )

    async def _save(self, message_id: str, host: str) -> None:
        with span("save", SpanKind.CLIENT, attributes={"host.name": host}):
            await self._store.save(message_id, host)

    async def _attempt(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take the step, again and again as long as the policy allows."""
        for attempt in itertools.count(1):
            try:
                await step()
            except Exception as error:
                delay_s = policy.retry_after_s(error, attempt=attempt, spread=self._random.random())
                if delay_s is None:
                    raise
                log.info("retrying in place", extra={"attempt": attempt, "error": str(error)})
            else:
                return
            await asyncio.sleep(delay_s)

    async def _fail(self, delivery: Delivery, error: Exception, processing: Span) -> None:
        mark_failed(processing, error)
        cause = root_cause(error)
        decided = policy.verdict(
            cause,
            deliveries=delivery.number,
            max_deliveries=self._max_deliveries,
            spread=self._random.random(),
        )
        log.warning(
            "message failed",
            extra={"message_id": delivery.message.id, "verdict": repr(decided), "error": repr(cause)},
            # What is no error of this service is a bug, here or in a member; its traceback is wanted.
            exc_info=None if isinstance(cause, MayhemError) else cause,
        )
        match decided:
            case policy.Nack(delay_s):
                await self._settlement.nack(delivery, delay_s=delay_s)
            case policy.DeadLetter(reason):
                await self._settlement.dead_letter(delivery, reason=reason)
            case policy.Stop():
                # Not at once: this service goes on pulling for as long as its end takes.
                await self._settlement.nack(delivery, delay_s=policy.NACK_S)
                raise error
            case policy.LetGo():
                pass
