"""``python -m tests.soak.publisher``: publishes for a soak, in a process that can be killed.

It prints the id of each message once the broker has confirmed it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack

from harness.mayhem import backend
from harness.mayhem.errors import StorageUnavailableError
from harness.mayhem.message import Message, RestartEvent
from harness.mayhem.messages.publisher import publish

# One message in this many is malformed on purpose.
POISON_EVERY = 40
# Interval between attempts while the broker is unavailable.
AGAIN_S = 0.1


def message_id(prefix: str, number: int) -> str:
    """The id of a message; that of a malformed one ends in ``-poison``."""
    return f"{prefix}-{number}{'-poison' if number % POISON_EVERY == POISON_EVERY - 1 else ''}"


async def _publish_all(
    url: str, prefix: str, *, first: int, count: int, rate_per_s: float, hosts: int, lease_s: float
) -> None:
    async with AsyncExitStack() as stack:
        broker = await _connected(stack, url, lease_s)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        start = time.monotonic()
        for number in range(first, count):
            await asyncio.sleep(max(0.0, start + (number - first) / rate_per_s - time.monotonic()))
            group.create_task(_publish(broker, message_id(prefix, number), f"host-{number % hosts}"))


async def _connected(stack: AsyncExitStack, url: str, lease_s: float) -> backend.PublishingBroker:
    """Connect to the broker, and retry while it is unavailable."""
    while True:
        try:
            return await stack.enter_async_context(backend.broker(url, lease_s=lease_s))
        except StorageUnavailableError:
            await asyncio.sleep(AGAIN_S)


async def _publish(broker: backend.PublishingBroker, name: str, host: str) -> None:
    while True:
        try:
            if name.endswith("poison"):
                await broker.put(Message(name, b"\xff not JSON", time.time()))
            else:
                await publish(broker, RestartEvent(host), message_id=name)
        except StorageUnavailableError:
            await asyncio.sleep(AGAIN_S)
        else:
            break
    sys.stdout.write(f"{name}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(
        _publish_all(
            *sys.argv[1:3],
            first=int(sys.argv[3]),
            count=int(sys.argv[4]),
            rate_per_s=float(sys.argv[5]),
            hosts=int(sys.argv[6]),
            lease_s=float(sys.argv[7]),
        )
    )
