"""The message: what a publisher hands to the broker, and what the broker hands to a consumer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import MalformedMessageError

# Of a body that is no restart event, so many bytes are shown.
SHOWN_BYTES = 80


@dataclass(frozen=True, slots=True)
class Message:
    """One event on the broker. The broker knows its id and headers; the body is the consumer's affair."""

    id: str
    body: bytes  # JSON, see `RestartEvent`
    published_at: float  # unix seconds
    headers: Mapping[str, str] = field(default_factory=dict)  # W3C trace context: traceparent, tracestate


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in a consumer's hands, under a lease.

    *number* counts the deliveries of the message from 1, and is also what the lease is known by: a
    consumer whose lease ran out holds a smaller number than its successor.
    """

    message: Message
    number: int
    token: str = field(default="", compare=False, repr=False)  # what the broker knows the delivery by


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """A dead letter: the last delivery of a message, and why it was the last."""

    delivery: Delivery
    reason: str


@dataclass(frozen=True, slots=True)
class RestartEvent:
    """The only event there is: a host is to be restarted."""

    host: str

    def to_body(self) -> bytes:
        return json.dumps({"host": self.host, "event": "restart"}).encode()

    @classmethod
    def from_body(cls, body: bytes) -> RestartEvent:
        """Read a message's body.

        Raises:
            MalformedMessageError: *body* is not the JSON of a restart event, in UTF-8.
        """
        try:
            # Decoded here: `json.loads` would take UTF-16 as well.
            match json.loads(body.decode()):
                # Printable, because it goes into log lines and spans.
                case {"host": str(host), "event": "restart"} if host and host.isprintable():
                    return cls(host)
        except (ValueError, RecursionError):
            pass
        raise MalformedMessageError(
            f'body must be JSON like {{"host": "web-1", "event": "restart"}}, got {body[:SHOWN_BYTES]!r}'
        )
