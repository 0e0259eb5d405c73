"""The built-in publisher: restart events at a steady rate, from its own thread."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from concurrent.futures import wait
from random import Random

from opentelemetry.trace import SpanKind

from ..errors import StorageUnavailableError
from ..message import Message, RestartEvent
from ..operations.tracing import DESTINATION, messaging, span, to_headers
from ..ports import PublishPort

log = logging.getLogger(__name__)

# Interval at which a thread that waits for the loop checks whether to stop.
STOP_POLL_S = 0.1
# Interval between attempts while the broker is unavailable.
RETRY_S = 1.0


async def publish(broker: PublishPort, event: RestartEvent, *, message_id: str | None = None) -> None:
    """Publish one event. Its span is the parent of everything that happens to the message.

    Args:
        message_id: By default a new one. Pass it for an event that may have been published before.
    """
    message_id = message_id or str(uuid.uuid4())
    attributes = messaging(broker.system, "send", message_id)
    with span(f"publish {DESTINATION}", SpanKind.PRODUCER, attributes=attributes):
        await broker.put(Message(message_id, event.to_body(), time.time(), to_headers()))


def publish_steadily(
    broker: PublishPort,
    loop: asyncio.AbstractEventLoop,
    stop: threading.Event,
    *,
    events: int,
    rate_per_s: float,
    hosts: int,
    seed: int,
) -> None:
    """Publish *events* events for random hosts, from a thread into *loop*; return when done or *stop* is set.

    While the broker is unavailable, the same message is tried again: the broker ignores duplicates.
    """
    random = Random(seed)
    start = time.monotonic()
    for number in range(events):
        # Timed from the start, not from the previous event: otherwise every delay would lower the rate.
        if stop.wait(max(0.0, start + number / rate_per_s - time.monotonic())):
            return
        event, message_id = RestartEvent(f"host-{random.randrange(hosts)}"), str(uuid.uuid4())
        while not stop.is_set():
            try:
                _publish_from_thread(broker, event, message_id, loop, stop)
                break
            except StorageUnavailableError:
                log.warning("not published", extra={"message_id": message_id}, exc_info=True)
                stop.wait(RETRY_S)


def _publish_from_thread(
    broker: PublishPort,
    event: RestartEvent,
    message_id: str,
    loop: asyncio.AbstractEventLoop,
    stop: threading.Event,
) -> None:
    """Publish on the loop from this thread, and wait until that has ended or *stop* is set.

    `run_coroutine_threadsafe` copies the thread's context. Its future's `result` alone would wait forever if
    the loop stopped.
    """
    publishing = asyncio.run_coroutine_threadsafe(publish(broker, event, message_id=message_id), loop)
    while not wait([publishing], STOP_POLL_S).done:
        if stop.is_set():
            publishing.cancel()
            return
    publishing.result()
