"""The message: what a publisher gives the broker, and what the broker delivers to a consumer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import LeaseLostError, MalformedMessageError

# How many bytes of a malformed body an error quotes.
SHOWN_BYTES = 80


@dataclass(frozen=True, slots=True)
class Message:
    """One event on the broker, which reads its id and headers but not its body."""

    id: str
    body: bytes  # JSON, see `RestartEvent`
    published_at: float  # unix seconds
    headers: Mapping[str, str] = field(default_factory=dict)  # W3C trace context: traceparent, tracestate


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that a consumer holds under a lease.

    *number* counts the deliveries of the message from 1 and identifies the lease: a consumer whose lease
    ended holds a smaller number than its successor.
    """

    message: Message
    number: int
    token: str = field(default="", compare=False, repr=False)  # the broker's own id of the delivery

    def lost(self) -> LeaseLostError:
        """The error for a delivery that no longer holds its message."""
        return LeaseLostError(f"delivery {self.number} of {self.message.id} is no longer held")


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """A dead letter: the last delivery of a message, and the reason."""

    delivery: Delivery
    reason: str


@dataclass(frozen=True, slots=True)
class RestartEvent:
    """The body of every message: restart this host."""

    host: str

    def to_body(self) -> bytes:
        return json.dumps({"host": self.host, "event": "restart"}).encode()

    @classmethod
    def from_body(cls, body: bytes) -> RestartEvent:
        """Parse a message's body.

        Raises:
            MalformedMessageError: *body* is not the JSON of a restart event, in UTF-8.
        """
        try:
            # Decoded here, because `json.loads` would also accept UTF-16.
            match json.loads(body.decode()):
                # Printable, because it is written to log lines and spans.
                case {"host": str(host), "event": "restart"} if host and host.isprintable():
                    return cls(host)
        except (ValueError, RecursionError):
            pass
        like = '{"host": "web-1", "event": "restart"}'
        raise MalformedMessageError(f"body must be JSON like {like}, got {body[:SHOWN_BYTES]!r}")


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object; anything else, which another program may have written, counts as an empty one."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def text_headers(value: object) -> dict[str, str]:
    """Headers from a JSON value; a message whose headers cannot be read loses only its trace."""
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, dict) else {}
