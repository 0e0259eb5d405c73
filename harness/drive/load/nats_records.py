"""Follows the records of a NATS stream in which the chaos service writes what became of its messages.

The client's own `fetch` is not used. Its requests share one inbox, so the end of an earlier request reads as
the end of the present one. Before Python 3.12, its `asyncio.wait_for` swallows a cancellation that meets such
an answer. A cancelled `fetch` also loses the records that it holds.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionReconnectingError, Error
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import ServiceUnavailableError

from ...errors import TargetError
from .in_flight_messages import InFlightMessages

ANSWER_S = 5.0
# A pull ends after so long or so many records. Latency depends on neither: the server sends each record at
# once, and dates it.
PULL_S = 1.0
PULL_COUNT = 1_000
# Pause before the next pull while the server is unavailable.
RETRY_S = 0.1


@dataclass(slots=True)
class RecordPull:
    """One request for records."""

    inbox: str
    over: asyncio.Future[None]
    left: int = PULL_COUNT


class RecordFollower:
    """Tells *out* of each settled message, as soon as its record arrives."""

    def __init__(self, out: InFlightMessages, client: Client, queue: str) -> None:
        self._out = out
        self._client = client
        self._jetstream = client.jetstream(timeout=ANSWER_S)
        self._stream = f"{queue}_records"
        self._subject = f"{queue}.record.*"
        self._inbox = client.new_inbox()
        self._consumer = ""  # none yet, or the last one may have lost records
        self._pull: RecordPull | None = None
        self._pulls = 0
        self._next = 1  # the first record that is not read
        self._progress = asyncio.Event()
        self._ended = False

    async def open(self) -> None:
        """Find the first record to read, and subscribe.

        Raises:
            Error: The server does not answer, or has no such stream.
        """
        info = await self._jetstream.stream_info(self._stream)
        self._next = info.state.last_seq + 1
        await self._client.subscribe(f"{self._inbox}.*", cb=self._arrived)

    async def follow(self) -> None:
        """Read the records until the end."""
        while not self._ended:
            try:
                await self._pull_once()
            except (Error, TimeoutError):
                self._consumer = ""
                await asyncio.sleep(RETRY_S)

    async def catch_up(self) -> None:
        """Return when all records up to now are read, or if the server does not send them."""
        if not self._client.is_connected:
            return
        with suppress(Error, TimeoutError):
            info = await self._jetstream.stream_info(self._stream)
            async with asyncio.timeout(ANSWER_S):
                while self._next <= info.state.last_seq:
                    self._progress.clear()
                    await self._progress.wait()

    def disconnected(self) -> None:
        """Read again what was on its way over the lost connection."""
        self._consumer = ""
        self._finish(ConnectionReconnectingError())

    def end(self) -> None:
        """End `follow`."""
        self._ended = True
        self._finish()

    async def _pull_once(self) -> None:
        if not self._consumer:
            self._consumer = await self._create_consumer()
        self._pulls += 1
        over = asyncio.get_running_loop().create_future()
        self._pull = RecordPull(f"{self._inbox}.{self._pulls}", over)
        await self._client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}",
            json.dumps({"batch": PULL_COUNT, "expires": round(PULL_S * 1e9)}).encode(),
            reply=self._pull.inbox,
        )
        async with asyncio.timeout(PULL_S + ANSWER_S):
            await over

    async def _create_consumer(self) -> str:
        # Without acks, the server sends each record once. It deletes a consumer that nobody pulls from.
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._next,
            filter_subject=self._subject,
        )
        return (await self._jetstream.add_consumer(self._stream, config)).name

    async def _arrived(self, message: Msg) -> None:
        """Read a record, or the end of a pull. A record counts whichever pull it belongs to."""
        pull = self._pull
        if message.reply:
            self._read(message)
            if pull is not None:
                pull.left -= 1
                if not pull.left:
                    self._finish()
        elif pull is not None and message.subject == pull.inbox:
            # 408: it has expired. Else the consumer is gone, or JetStream unavailable.
            expired = (message.headers or {}).get("Status") == "408"
            self._finish(None if expired else ServiceUnavailableError())

    def _read(self, message: Msg) -> None:
        about = message.metadata
        # A record from an earlier consumer says nothing about those before it.
        if about.consumer == self._consumer:
            self._next = about.sequence.stream + 1
            self._progress.set()
        try:
            record = json.loads(message.data)
            if record["state"] in ("acked", "dead"):
                at_s = about.timestamp.timestamp()
                self._out.settled(record["id"], record["state"], record.get("reason", ""), at_s)
        except (ValueError, TypeError, KeyError):
            what = f"not a record of the service, in {self._stream}: {message.data[:100]!r}"
            self._finish(TargetError(what))

    def _finish(self, error: Exception | None = None) -> None:
        if self._pull is not None and not self._pull.over.done():
            if error is None:
                self._pull.over.set_result(None)
            else:
                self._pull.over.set_exception(error)
