"""The streams of a queue: its messages, what became of them, and its dead letters."""

from __future__ import annotations

from typing import NamedTuple

from nats.js import errors as js_errors
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig

from .connection import NatsConnection

# How long a message's id and its record are kept. Longer than any publisher retries; each id takes the
# server some hundred bytes.
KEPT_S = 3600
# Part of a message's maximum size reserved for its id and headers, and for the reason in a dead letter.
ROOM_BYTES = 16_384


class StreamNames(NamedTuple):
    """The streams and subjects of a queue."""

    queue: str  # the stream of messages
    subject: str
    records: str
    dead: str
    dead_subject: str

    @classmethod
    def of(cls, queue: str) -> StreamNames:
        return cls(queue, f"{queue}.message", f"{queue}_records", f"{queue}_dead", f"{queue}.dead")

    def record(self, number: str) -> str:
        """The subject for the record of the message with that number in its stream; ``*`` for all."""
        return f"{self.queue}.record.{number}"


async def create_streams(connection: NatsConnection, names: StreamNames, *, lease_s: float) -> None:
    """Create the streams and the consumer that do not exist yet; existing streams stay as they are."""
    for stream in (
        StreamConfig(
            name=names.queue,
            subjects=[names.subject],
            retention=RetentionPolicy.WORK_QUEUE,
            duplicate_window=KEPT_S,
            max_msg_size=connection.client.max_payload - ROOM_BYTES,
        ),
        StreamConfig(
            name=names.records, subjects=[names.record("*")], max_msgs_per_subject=1, max_age=KEPT_S
        ),
        StreamConfig(name=names.dead, subjects=[names.dead_subject]),
    ):
        try:
            await connection.js.stream_info(stream.name or "")
        except js_errors.NotFoundError:
            await connection.js.add_stream(stream)
    # Creates the consumer, or changes its lease.
    await connection.js.add_consumer(
        names.queue,
        ConsumerConfig(
            durable_name="service",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=lease_s,
            max_deliver=-1,
            max_ack_pending=-1,
        ),
    )
