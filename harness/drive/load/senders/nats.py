"""Publishes messages to a NATS stream, and reads from the service's records when they were settled.

The contract is in docs/brokers.md: a publisher sends the body to QUEUE.message with two headers; when the
service has settled a message, it writes a JSON record with id, state and reason to QUEUE.record.N.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

from ....errors import TargetError, UsageError
from ..in_flight import DriverRequest, InFlightRequests
from ..in_flight_messages import InFlightMessages, Outgoing

try:
    from nats.aio.client import Client
    from nats.errors import Error
    from nats.js import JetStreamContext
    from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
    from nats.js.errors import NotFoundError
except ImportError as missing:
    raise UsageError('the sender "nats" needs nats-py: install asyncio-harness[nats]') from missing

ANSWER_S = 5.0
RECONNECT_S = 0.2
# How long one fetch waits for records. Latency does not depend on it: the server dates each record.
FETCH_S = 1.0
LAST_FETCH_S = 0.1
FETCH_COUNT = 1_000
# Pause between two fetches while the server is unavailable; requests then fail, and the load goes on.
RETRY_S = 0.1


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
    why: Exception | None = None

    async def failed(error: Exception) -> None:
        """Keep the latest error, in place of the client's log line for each attempt."""
        nonlocal why
        why = error

    try:
        try:
            await client.connect(
                parts._replace(query="").geturl(),
                error_cb=failed,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=RECONNECT_S,  # type: ignore[arg-type] # passed to `sleep`
            )
        except (Error, OSError) as exc:
            raise TargetError(f"{place}: {why or exc}") from exc
        # Only a failure of the first connection is an error.
        client.options.update(allow_reconnect=True, max_reconnect_attempts=-1)
        messages = InFlightMessages(flight, "nats", hosts)
        sender = NatsSender(messages, client.jetstream(timeout=ANSWER_S), queue)
        await sender.open(place)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(sender.watch())
            yield sender
            watching.cancel()
        await sender.close()
    finally:
        await client.close()


class NatsSender:
    """Runs one task per message."""

    def __init__(self, out: InFlightMessages, jetstream: JetStreamContext, queue: str) -> None:
        self._out = out
        self._jetstream = jetstream
        self._queue = queue
        self._records: JetStreamContext.PullSubscription | None = None
        self._next = 1  # the first record to read
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, place: str) -> None:
        """Check that a broker has created the queue, and find the first record to read."""
        try:
            info = await self._jetstream.stream_info(f"{self._queue}_records")
        except NotFoundError as exc:
            raise TargetError(f"{place}: not a broker's queue: no stream {self._queue}_records") from exc
        except Error as exc:
            raise TargetError(f"{place}: {exc}") from exc
        self._next = info.state.last_seq + 1

    def send(self, request: DriverRequest) -> None:
        """Publish the message."""
        task = asyncio.get_running_loop().create_task(self._publish(self._out.send(request)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def watch(self) -> None:
        """Read the records of settled messages; never returns."""
        while True:
            try:
                await self._fetch(FETCH_S)
            except Error:
                # Also after a restart of the server, which has lost the subscription.
                self._records = None
                await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """Read the last records, and cancel what is still being published."""
        with suppress(Error):
            while await self._fetch(LAST_FETCH_S):
                pass
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

    async def _fetch(self, wait_s: float) -> bool:
        """Read the records since the last fetch; return whether there were any."""
        if self._records is None:
            self._records = await self._jetstream.pull_subscribe(
                f"{self._queue}.record.*",
                stream=f"{self._queue}_records",
                config=ConsumerConfig(
                    ack_policy=AckPolicy.NONE,
                    deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                    opt_start_seq=self._next,
                ),
            )
        try:
            found = await self._records.fetch(FETCH_COUNT, timeout=wait_s)
        except TimeoutError:
            return False
        for message in found:
            about = message.metadata
            self._next = about.sequence.stream + 1
            record = json.loads(message.data)
            if record["state"] in ("acked", "dead"):
                at_s = about.timestamp.timestamp()
                self._out.settled(record["id"], record["state"], record.get("reason", ""), at_s)
        return True
