"""The ledger of a queue in NATS: its stream, and the records of the last hour."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from ...errors import StorageUnavailableError
from ...ledger import BrokerAudit
from ..broker_url import BrokerUrl
from .connection import NatsConnection, connected
from .stream import KEPT_S, StreamNames


async def audit(url: str) -> BrokerAudit:
    """Count the messages, and create nothing. Exact while no message is being handled.

    Raises:
        SettingsError: The URL is wrong.
        StorageError: The server does not answer or refuses, or has no such queue.
    """
    address = BrokerUrl.from_url(url)
    names = StreamNames.of(address.queue)
    async with connected(address) as connection:
        with connection.translated():
            queue = await _info(connection, names.queue)
            stream = await _info(connection, names.records)
            records = await _records(connection, names, stream)
    settled = [record for record in records.values() if record["state"] in ("acked", "dead")]
    state = queue["state"]
    # Messages settled before the oldest record are forgotten, and not counted as published.
    first = 1 if _age_s(stream) < KEPT_S else min([*records, state["first_seq"] or state["last_seq"] + 1])
    published = state["last_seq"] - first + 1
    acks = {record["id"]: record["number"] for record in settled if record["state"] == "acked"}
    return BrokerAudit(
        published=published,
        acked=sum(record["state"] == "acked" for record in settled),
        acks=acks,
        nacked=sum(record["nacks"] for record in records.values()),
        redelivered=sum(record["number"] - 1 for record in records.values()),
        dead_lettered=sum(record["state"] == "dead" for record in settled),
        # A message stays in the stream if its consumer was killed right after recording its settlement.
        waiting=min(state["messages"], max(0, published - len(settled))),
    )


async def _records(
    connection: NatsConnection, names: StreamNames, stream: dict[str, Any]
) -> dict[int, dict[str, Any]]:
    """The latest record of each message that has one, by the message's number in its stream."""
    found: dict[int, dict[str, Any]] = {}
    if not stream["state"]["messages"]:
        return found
    subject, js = names.record("*"), connection.js
    subscription = await js.subscribe(subject, stream=names.records, ordered_consumer=True)
    while True:
        message = await subscription.next_msg(timeout=connection.answer_s)
        found[int(message.subject.rpartition(".")[2])] = json.loads(message.data)
        if not message.metadata.num_pending:
            return found


async def _info(connection: NatsConnection, stream: str) -> dict[str, Any]:
    # A raw request, because the client omits when the stream was created.
    info: dict[str, Any] = json.loads(await connection.request(f"$JS.API.STREAM.INFO.{stream}"))
    if error := info.get("error"):
        shown = connection.address.shown
        raise StorageUnavailableError(f"{shown}: no ledger to read: {error['description']}")
    return info


def _age_s(stream: dict[str, Any]) -> float:
    created, now = (datetime.fromisoformat(stream[key][:19] + "+00:00") for key in ("created", "ts"))
    return (now - created).total_seconds()
