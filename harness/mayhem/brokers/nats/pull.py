"""Pulls messages from a JetStream consumer, one request at a time."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from nats import errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ...errors import StorageUnavailableError
from .connection import NAK, NatsConnection
from .stream import StreamNames, create_streams

log = logging.getLogger(__name__)

# How long the server keeps a pull open; at most this share of a lease, because a message may arrive at the
# end of the pull, but its lease counts from the pull's beginning (`InFlight.since_s`).
PULL_S = 1.0
PULL_LEASE_SHARE = 0.25


@dataclass(slots=True)
class Pull:
    """One request for messages."""

    limit: int
    inbox: str
    since_s: float
    over: asyncio.Future[None]
    messages: list[Msg] = field(default_factory=list)


class Puller:
    """Pulls messages of one queue."""

    def __init__(self, connection: NatsConnection, names: StreamNames, *, lease_s: float) -> None:
        self._connection = connection
        self._names = names
        self._lease_s = lease_s
        self._inbox = connection.client.new_inbox()
        self._arriving: Subscription | None = None
        self._count = 0
        self._pull: Pull | None = None
        self._complete = False  # whether the streams and the consumer exist, as far as is known

    async def open(self) -> None:
        """Subscribe to the inbox for pulled messages."""
        await self._create()
        # No limit, because the client would drop the excess; each pull is bounded already.
        self._arriving = await self._connection.client.subscribe(
            f"{self._inbox}.*", cb=self._arrived, pending_bytes_limit=0
        )

    async def close(self) -> None:
        """Hand back the messages that are still arriving."""
        self.end()
        if self._arriving is not None and self._connection.client.is_connected:
            try:
                async with asyncio.timeout(self._connection.answer_s):
                    await self._arriving.drain()  # type: ignore[no-untyped-call]
            except (errors.Error, OSError) as exc:
                log.warning("messages in transit are delivered again when their leases end: %s", exc)

    def disconnected(self) -> None:
        """Fail the open pull, whose messages would not arrive over a new connection."""
        if self._pull is not None and not self._pull.over.done():
            self._pull.over.set_exception(errors.ConnectionReconnectingError())

    def end(self) -> None:
        """End the open pull."""
        if self._pull is not None and not self._pull.over.done():
            self._pull.over.set_result(None)

    async def pull(self, limit: int) -> Pull:
        """Pull up to *limit* messages; none if the pull expires first.

        The server answers with the messages it has. If it has none, it waits for the first one.
        """
        self._count += 1
        over = asyncio.get_running_loop().create_future()
        pull = Pull(limit, f"{self._inbox}.{self._count}", time.monotonic(), over)
        pull_s = min(PULL_S, self._lease_s * PULL_LEASE_SHARE)
        request = {"batch": limit, "expires": round(pull_s * 1e9), "no_wait": True}
        self._pull = pull
        try:
            with self._connection.translated():
                self._connection.check_connected()
                if not self._complete:
                    await self._create()
                await self._connection.client.publish(
                    f"$JS.API.CONSUMER.MSG.NEXT.{self._names.queue}.service",
                    json.dumps(request).encode(),
                    reply=pull.inbox,
                )
                async with asyncio.timeout(pull_s + self._connection.answer_s):
                    await over
        except BaseException:
            self._pull = None
            await self.hand_back(pull.messages)
            raise
        self._pull = None
        return pull

    async def hand_back(self, messages: Sequence[Msg]) -> None:
        """Hand the messages back at once."""
        for message in messages:
            await self._connection.respond(message.reply, NAK)

    async def _create(self) -> None:
        await create_streams(self._connection, self._names, lease_s=self._lease_s)
        self._complete = True

    async def _arrived(self, message: Msg) -> None:
        pull = self._pull
        if not message.reply:
            if pull is not None and message.subject == pull.inbox and not pull.over.done():
                self._finish(pull, message)
        elif pull is None or pull.over.done():
            # It belongs to a pull that has been cancelled.
            await self.hand_back([message])
        else:
            pull.messages.append(message)
            if len(pull.messages) == pull.limit:
                pull.over.set_result(None)

    def _finish(self, pull: Pull, message: Msg) -> None:
        status = str((message.headers or {}).get("Status", ""))
        if status in ("404", "408"):  # there are no more
            pull.over.set_result(None)
        else:
            # JetStream or its leader is unavailable, or the streams were deleted.
            self._complete = False
            why = (message.headers or {}).get("Description", "JetStream does not answer")
            shown = self._connection.address.shown
            pull.over.set_exception(StorageUnavailableError(f"{shown}: {status} {why}"))
