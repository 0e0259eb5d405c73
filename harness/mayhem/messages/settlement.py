"""The end of a delivery: ack, nack or dead-letter, never torn by a cancel."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from opentelemetry.trace import SpanKind

from ..errors import LeaseLostError, StorageError
from ..message import Delivery
from ..operations.failure_ledger import End, Failures
from ..operations.metrics import record_operation, record_settled
from ..operations.tracing import messaging, span
from ..ports import Broker
from .circuit import Circuit

log = logging.getLogger(__name__)

# What a broker has to finish a settlement whose caller was cancelled: a service cannot take for ever to end.
FINISH_S = 5.0


class Settlement:
    """Settles deliveries, and says whether that worked.

    One that cannot be settled is logged and left: the broker hands it out again.
    """

    def __init__(self, broker: Broker, circuit: Circuit, failures: Failures) -> None:
        self._broker = broker
        self._circuit = circuit
        self._failures = failures

    async def ack(self, delivery: Delivery) -> bool:
        return await self._settle("ack", delivery, self._broker.ack(delivery))

    async def nack(self, delivery: Delivery, *, delay_s: float) -> bool:
        return await self._settle("nack", delivery, self._broker.nack(delivery, delay_s=delay_s))

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> bool:
        return await self._settle("dead-letter", delivery, self._broker.dead_letter(delivery, reason=reason))

    async def _settle(self, operation: str, delivery: Delivery, call: Coroutine[Any, Any, None]) -> bool:
        system, message_id = self._broker.system, delivery.message.id
        began = time.perf_counter()
        try:
            with span(operation, SpanKind.CLIENT, attributes=messaging(system, "settle", message_id)):
                with self._circuit:
                    await untorn(call)
        except (LeaseLostError, StorageError) as error:
            self._failures.note(error, End.LET_GO)
            record_settled("let-go")
            log.warning("%s failed", operation, extra={"message_id": message_id}, exc_info=True)
            return False
        else:
            record_settled(operation)
            return True
        finally:
            record_operation(system, operation, time.perf_counter() - began)


async def untorn(call: Coroutine[Any, Any, None], *, finish_s: float = FINISH_S) -> None:
    """Await *call* to its end, whoever cancels the caller; the cancellation travels on afterwards.

    `asyncio.shield` alone lets the caller go at once: what it shields is then a task without an owner.

    Args:
        finish_s: What the call has from the first cancellation; then it is cancelled itself.
    """
    task = asyncio.create_task(call)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError as exc:
        cancelled = exc
    else:
        return
    if not await _finished(task, finish_s):
        cancelled.add_note(f"and meanwhile: not finished within {finish_s:g} s")
    elif not task.cancelled() and (error := task.exception()) is not None:
        cancelled.add_note(f"and meanwhile: {type(error).__name__}: {error}")
    raise cancelled


async def _finished(task: asyncio.Task[None], within_s: float) -> bool:
    """Whether the task ended by itself in that time, whoever cancels the caller; it is over in any case."""
    deadline = time.monotonic() + within_s
    in_time = True
    while not task.done():
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            in_time = False
            task.cancel()
        try:
            await asyncio.wait({task}, timeout=max(left_s, 0) or None)
        except asyncio.CancelledError:
            continue  # the first one travels on
    return in_time
