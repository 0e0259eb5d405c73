"""The stream of records: for each message, which delivery holds it or how it was settled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from nats.js import errors as js_errors

from ...message import Delivery, json_object
from .connection import NatsConnection
from .stream import StreamNames

# The server's error code when a record is not the next one.
WRONG_LAST_SEQUENCE = 10071


@dataclass(slots=True)
class InFlight:
    """A delivery that is not settled yet."""

    # The lease ends one lease length after this, on this process's monotonic clock. At the server it may last
    # longer but never shorter: the server was asked at this time and answered later.
    since_s: float
    sequence: int  # of the message in its stream
    revision: int = 0  # of the record this delivery knows; 0 for none
    nacks: int = 0


class Records:
    """Reads and writes the latest record of each message."""

    def __init__(self, connection: NatsConnection, names: StreamNames) -> None:
        self._js = connection.js
        self._names = names

    async def read(self, held: InFlight) -> dict[str, Any]:
        """Return the message's latest record, or an empty one, and note its revision in *held*."""
        try:
            found = await self._js.get_last_msg(self._names.records, self._names.record(str(held.sequence)))
        except js_errors.NotFoundError:
            return {}
        record = json_object((found.data or b"").decode(errors="replace"))
        held.revision, held.nacks = found.seq or 0, int(record.get("nacks", 0))
        return record

    async def write(self, delivery: Delivery, state: str, held: InFlight, *, reason: str = "") -> int:
        """Write the message's next record and return its revision.

        Raises:
            LeaseLostError: Another delivery has written it.
        """
        record = {"id": delivery.message.id, "state": state, "number": delivery.number, "nacks": held.nacks}
        try:
            written = await self._js.publish(
                self._names.record(str(held.sequence)),
                json.dumps(record | ({"reason": reason} if reason else {})).encode(),
                headers={"Nats-Expected-Last-Subject-Sequence": str(held.revision)},
            )
        except js_errors.BadRequestError as exc:
            if exc.err_code == WRONG_LAST_SEQUENCE:
                raise delivery.lost() from exc
            raise
        return written.seq
