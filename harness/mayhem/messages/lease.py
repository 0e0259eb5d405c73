"""Keeps the leases of messages in flight: one task extends all of them."""

from __future__ import annotations

import asyncio
import logging
from contextvars import copy_context
from itertools import takewhile
from types import TracebackType
from typing import Self

from opentelemetry.trace import SpanKind

from ..errors import StorageUnavailableError
from ..message import Delivery
from ..operations.failure_ledger import End, FailureLedger
from ..operations.tracing import messaging, span
from ..ports import Broker

log = logging.getLogger(__name__)

# Share of the lease after which it is extended: two extensions may fail or be late before it is lost.
EXTEND_AFTER = 1 / 3


class Leases:
    """Extends the leases of all messages in flight while the context is active.

    There is no task per message: most messages are settled before their first extension is due, and cost one
    dictionary operation. Each extension has a task, so that a slow one does not cost the others their leases.
    """

    def __init__(self, broker: Broker, failures: FailureLedger, *, lease_s: float) -> None:
        self.lease_s = lease_s
        self._broker = broker
        self._failures = failures
        self._interval_s = lease_s * EXTEND_AFTER
        self._now = asyncio.get_running_loop().time
        # In the order in which they are due, as all leases have the same length.
        self._kept: dict[_Kept, None] = {}

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._keeper = self._tasks.create_task(self._keep(), name="leases")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keeper.cancel()
        await self._tasks.__aexit__(kind, error, trace)

    def keep(self, delivery: Delivery) -> _Kept:
        """A context that keeps the message's lease while the current task is inside.

        A failed extension cancels the task, except for a `StorageUnavailableError`, which may pass. On
        leaving, the extension's error is raised in place of the cancellation.

        Raises:
            LeaseLostError: Another consumer may be handling the message.
            Exception: Any other error of an extension.
        """
        return _Kept(self, delivery)

    def add(self, kept: _Kept) -> None:
        kept.due = self._now() + self._interval_s
        self._kept[kept] = None

    def remove(self, kept: _Kept) -> None:
        del self._kept[kept]

    async def _keep(self) -> None:
        async with asyncio.TaskGroup() as extensions:
            while True:
                await asyncio.sleep(self._next_in_s())
                for kept in self._due():
                    self.remove(kept)
                    self.add(kept)
                    if not kept.extending:
                        kept.extending = True
                        name = f"extend {kept.delivery.message.id}"
                        # In the message's context, so that the extension is part of its trace.
                        extensions.create_task(self._extend(kept), name=name, context=kept.context)

    def _next_in_s(self) -> float:
        """Time until the first extension is due; newer leases are due later."""
        first = next(iter(self._kept), None)
        return self._interval_s if first is None else first.due - self._now()

    def _due(self) -> list[_Kept]:
        now = self._now()
        return list(takewhile(lambda kept: kept.due <= now, self._kept))

    async def _extend(self, kept: _Kept) -> None:
        message_id = kept.delivery.message.id
        attributes = messaging(self._broker.system, "settle", message_id)
        try:
            with span("extend", SpanKind.CLIENT, attributes=attributes):
                await self._broker.extend(kept.delivery)
        except StorageUnavailableError as error:
            self._failures.note(error, End.RETRIED)
            log.warning("lease not extended", extra={"message_id": message_id}, exc_info=True)
        except Exception as error:
            if kept in self._kept:
                kept.lose(error)
            else:  # settled during its extension
                self._failures.note(error, End.ABANDONED)
        finally:
            kept.extending = False


class _Kept:
    """One message's lease, and the task that is cancelled when the lease is lost."""

    __slots__ = ("_cancelling", "_leases", "_loss", "_task", "context", "delivery", "due", "extending")

    def __init__(self, leases: Leases, delivery: Delivery) -> None:
        self.delivery = delivery
        self.context = copy_context()
        self.due = 0.0  # on the loop's clock
        self.extending = False
        self._leases = leases
        self._loss: Exception | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a lease can only be kept in a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._leases.add(self)

    def lose(self, loss: Exception) -> None:
        """Cancel the task."""
        if self._loss is None:
            self._loss = loss
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leases.remove(self)
        # Like `asyncio.timeout`: a cancellation from elsewhere takes precedence.
        if self._loss is None or self._task.uncancel() > self._cancelling:
            return
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            raise self._loss from error
