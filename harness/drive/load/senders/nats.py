"""Publishes messages to a NATS stream, and reads from the service's records when they were settled.

The contract is in docs/brokers.md: a publisher sends the body to QUEUE.message with two headers; when the
service has settled a message, it writes a JSON record with id, state and reason to QUEUE.record.N.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from ....errors import TargetError, UsageError
from ..in_flight import DriverRequest, InFlightRequests
from ..in_flight_messages import InFlightMessages, Outgoing

try:
    from nats.aio.client import Client
    from nats.errors import Error
    from nats.js import JetStreamContext
    from nats.js.errors import NotFoundError

    from ..nats_records import ANSWER_S, RecordFollower
except ImportError as missing:
    raise UsageError('the sender "nats" needs nats-py: install asyncio-harness[nats]') from missing

RECONNECT_S = 0.2


@asynccontextmanager
async def connect(flight: InFlightRequests, *, url: str, hosts: int) -> AsyncIterator[NatsSender]:
    """Open a sender to the queue at *url*, with events for *hosts* different hosts.

    Raises:
        TargetError: The server does not answer, or has no such queue.
    """
    parts = urlsplit(url)
    queue = parse_qs(parts.query).get("queue", ["mayhem"])[-1]
    place = f"{parts.scheme}://{parts.hostname}:{parts.port}"
    client = Client()
    messages = InFlightMessages(flight, "nats", hosts)
    records = RecordFollower(messages, client, queue)
    why: Exception | None = None

    async def failed(error: Exception) -> None:
        """Keep the latest error, in place of the client's log line for each attempt."""
        nonlocal why
        why = error

    async def lost() -> None:
        records.disconnected()

    try:
        try:
            await client.connect(
                parts._replace(query="").geturl(),
                error_cb=failed,
                disconnected_cb=lost,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=RECONNECT_S,  # type: ignore[arg-type] # passed to `sleep`
            )
        except (Error, OSError) as exc:
            raise TargetError(f"{place}: {why or exc}") from exc
        # Only a failure of the first connection is an error.
        client.options.update(allow_reconnect=True, max_reconnect_attempts=-1)
        try:
            await records.open()
        except NotFoundError as exc:
            raise TargetError(f"{place}: not a broker's queue: no stream {queue}_records") from exc
        except Error as exc:
            raise TargetError(f"{place}: {exc}") from exc
        async with asyncio.TaskGroup() as group:
            following = group.create_task(records.follow())
            sender = NatsSender(messages, client.jetstream(timeout=ANSWER_S), queue)
            try:
                yield sender
                if messages.oldest_s() is not None:
                    await records.catch_up()
            finally:
                # Not by the cancellation alone: a call of the client may swallow it, before Python 3.12.
                records.end()
                following.cancel()
        await sender.close()
    finally:
        await client.close()


class NatsSender:
    """Runs one task per message."""

    def __init__(self, out: InFlightMessages, jetstream: JetStreamContext, queue: str) -> None:
        self._out = out
        self._jetstream = jetstream
        self._queue = queue
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, request: DriverRequest) -> None:
        """Publish the message."""
        task = asyncio.get_running_loop().create_task(self._publish(self._out.send(request)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel what is still being published."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _publish(self, message: Outgoing) -> None:
        about = {"id": message.id, "published_at": message.published_at, "headers": message.headers}
        error = ""
        try:
            await self._jetstream.publish(
                f"{self._queue}.message",
                message.body.encode(),
                headers={"Nats-Msg-Id": message.id, "Mayhem-Message": json.dumps(about)},
            )
        except Error as exc:
            error = f"{type(exc).__name__}: {exc}"
        self._out.published(message, error=error)
