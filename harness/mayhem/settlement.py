"""The end of a delivery: ack, nack or dead-letter, never torn by a cancel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from opentelemetry.trace import SpanKind

from .errors import LeaseLostError, StorageError
from .message import Delivery
from .ports import Broker
from .tracing import messaging, span

log = logging.getLogger(__name__)


class Settlement:
    """Settles deliveries. One that cannot be settled is logged and left: the broker hands it out again."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def ack(self, delivery: Delivery) -> None:
        await self._settle("ack", delivery, self._broker.ack(delivery))

    async def nack(self, delivery: Delivery, *, delay_s: float) -> None:
        await self._settle("nack", delivery, self._broker.nack(delivery, delay_s=delay_s))

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> None:
        await self._settle("dead-letter", delivery, self._broker.dead_letter(delivery, reason=reason))

    async def _settle(self, operation: str, delivery: Delivery, call: Coroutine[Any, Any, None]) -> None:
        message_id = delivery.message.id
        try:
            with span(
                operation,
                SpanKind.CLIENT,
                attributes=messaging(self._broker.system, "settle", message_id),
            ):
                await untorn(call)
        except (LeaseLostError, StorageError):
            log.warning("%s failed", operation, extra={"message_id": message_id}, exc_info=True)


async def untorn(call: Coroutine[Any, Any, None]) -> None:
    """Await *call* to its end, whoever cancels the caller; the cancellation travels on afterwards.

    `asyncio.shield` alone lets the caller go at once: what it shields is then a task without an owner.
    """
    task = asyncio.create_task(call)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        if not task.cancelled() and (error := task.exception()) is not None:
            cancelled.add_note(f"and meanwhile: {type(error).__name__}: {error}")
        raise cancelled
    task.result()
