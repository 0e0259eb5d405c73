"""The books of the broker in NATS: what its stream and the records of the last hour tell."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ...errors import StorageUnavailableError
from ...ledger import BrokerAudit
from ..broker_url import BrokerUrl
from .broker import ANSWER_S, KEPT_S, Names, connected, translated

if TYPE_CHECKING:
    from nats.aio.client import Client


async def audit(url: str) -> BrokerAudit:
    """Count; nothing is created. Exact when nothing is under way.

    Raises:
        SettingsError: The URL is wrong.
        StorageError: The server does not answer or refuses, or has no such queue.
    """
    address = BrokerUrl.from_url(url)
    names = Names(address.queue)
    async with connected(address) as client:
        with translated(address):
            queue = await _info(client, address, names.queue)
            stream = await _info(client, address, names.records)
            records = await _records(client, names, stream)
    settled = [record for record in records.values() if record["state"] in ("acked", "dead")]
    state = queue["state"]
    # What was settled before the oldest record is not known any more, and not counted as published.
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
        # A message stays in the stream when its consumer was killed right after the record of its settlement.
        waiting=min(state["messages"], max(0, published - len(settled))),
    )


async def _records(client: Client, names: Names, stream: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """The latest record of every message that has one, by the message's number in its stream."""
    found: dict[int, dict[str, Any]] = {}
    if not stream["state"]["messages"]:
        return found
    subscription = await client.jetstream(timeout=ANSWER_S).subscribe(
        names.record("*"), stream=names.records, ordered_consumer=True
    )
    while True:
        message = await subscription.next_msg(timeout=ANSWER_S)
        found[int(message.subject.rpartition(".")[2])] = json.loads(message.data)
        if not message.metadata.num_pending:
            return found


async def _info(client: Client, address: BrokerUrl, stream: str) -> dict[str, Any]:
    # As it comes: the client leaves out when the stream was created.
    answer = await client.request(f"$JS.API.STREAM.INFO.{stream}", timeout=ANSWER_S)
    info: dict[str, Any] = json.loads(answer.data)
    if error := info.get("error"):
        raise StorageUnavailableError(f"{address.shown}: no ledger to read: {error['description']}")
    return info


def _age_s(stream: dict[str, Any]) -> float:
    created, now = (datetime.fromisoformat(stream[key][:19] + "+00:00") for key in ("created", "ts"))
    return (now - created).total_seconds()
