"""Keeping a message while it is worked on: the lease is extended until the work is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.trace import SpanKind

from .errors import StorageUnavailableError
from .message import Delivery
from .ports import Broker
from .tracing import messaging, span

log = logging.getLogger(__name__)

# Of the lease, between two extensions: two may fail or come late before the lease is lost.
EXTEND_AFTER = 1 / 3


@asynccontextmanager
async def kept(broker: Broker, delivery: Delivery, lease_s: float) -> AsyncIterator[None]:
    """Hold the lease for as long as the block runs.

    The block is cancelled when the lease is lost: another consumer may be at the same work.

    Raises:
        ExceptionGroup: Of what the block raised, or a `StorageError` or `LeaseLostError` of an extension.
    """
    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            _extend_until(done, broker, delivery, lease_s), name=f"extend {delivery.message.id}"
        )
        yield
        # Told, not cancelled: an extension on its way is finished, and its span does not end as an error.
        done.set()


async def _extend_until(done: asyncio.Event, broker: Broker, delivery: Delivery, lease_s: float) -> None:
    while not await _happens(done, within_s=lease_s * EXTEND_AFTER):
        try:
            with span(
                "extend",
                SpanKind.CLIENT,
                attributes=messaging(broker.system, "settle", delivery.message.id),
            ):
                await broker.extend(delivery)
        except StorageUnavailableError:
            log.warning("lease not extended", extra={"message_id": delivery.message.id}, exc_info=True)


async def _happens(event: asyncio.Event, *, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            return await event.wait()
    except TimeoutError:
        return False
