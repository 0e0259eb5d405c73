"""Settling a delivery: ack, nack or dead-letter, finished even if cancelled."""

from __future__ import annotations

import logging
import time
from collections.abc import Coroutine
from typing import Any

from opentelemetry.trace import SpanKind

from ..cancellation import finish_despite_cancel
from ..errors import LeaseLostError, StorageError
from ..message import Delivery
from ..operations.failure_ledger import End, FailureLedger
from ..operations.metrics import record_operation, record_settled
from ..operations.tracing import messaging, span
from ..ports import Broker
from .circuit import Circuit

log = logging.getLogger(__name__)


class Settlement:
    """Settles deliveries; each method returns whether it succeeded.

    A failed settlement is logged and not repeated: the broker delivers the message again.
    """

    def __init__(self, broker: Broker, circuit: Circuit, failures: FailureLedger) -> None:
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
                    await finish_despite_cancel(call)
        except (LeaseLostError, StorageError) as error:
            self._failures.note(error, End.ABANDONED)
            record_settled("let-go")
            log.warning("%s failed", operation, extra={"message_id": message_id}, exc_info=True)
            return False
        else:
            record_settled(operation)
            return True
        finally:
            record_operation(system, operation, time.perf_counter() - began)
