"""The built-in publisher: restart events at a steady rate, from a thread that is not the loop's."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from random import Random

from opentelemetry.trace import SpanKind

from .message import Message, RestartEvent
from .ports import Outlet
from .tracing import DESTINATION, messaging, span, to_headers


async def publish(outlet: Outlet, event: RestartEvent) -> None:
    """Publish one event. Its span is the parent of everything that happens to the message."""
    message_id = str(uuid.uuid4())
    with span(
        f"publish {DESTINATION}",
        SpanKind.PRODUCER,
        attributes=messaging(outlet.system, "send", message_id),
    ):
        await outlet.put(Message(message_id, event.to_body(), time.time(), to_headers()))


def publish_steadily(
    outlet: Outlet,
    loop: asyncio.AbstractEventLoop,
    stop: threading.Event,
    *,
    events: int,
    rate_per_s: float,
    hosts: int,
    seed: int,
) -> None:
    """Publish *events* events for random hosts, from a thread into *loop*; return when done or told to stop.

    A call into a loop from a thread is `run_coroutine_threadsafe`: it takes the thread's context along, and
    its `result` waits for what the coroutine returns or raises.
    """
    random = Random(seed)
    start = time.monotonic()
    for number in range(events):
        # Each from the start, not from the one before: otherwise every delay would lower the rate.
        if stop.wait(max(0.0, start + number / rate_per_s - time.monotonic())):
            return
        event = RestartEvent(f"host-{random.randrange(hosts)}")
        asyncio.run_coroutine_threadsafe(publish(outlet, event), loop).result()
