"""The message: what a publisher hands to the broker, and what the broker hands to a consumer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import MalformedMessageError


@dataclass(frozen=True, slots=True)
class Message:
    """One event on the broker. The broker knows its id and headers; the body is the consumer's affair."""

    id: str
    body: str  # JSON, see `RestartEvent`
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


@dataclass(frozen=True, slots=True)
class RestartEvent:
    """The only event there is: a host is to be restarted."""

    host: str

    def to_body(self) -> str:
        return json.dumps({"host": self.host, "event": "restart"})

    @classmethod
    def from_body(cls, body: str) -> RestartEvent:
        """Read a message's body.

        Raises:
            MalformedMessageError: *body* is not the JSON of a restart event.
        """
        try:
            match json.loads(body):
                # Printable, because it goes into log lines and spans.
                case {"host": str(host), "event": "restart"} if host and host.isprintable():
                    return cls(host)
        except ValueError:
            pass
        raise MalformedMessageError(
            f'body must be JSON like {{"host": "web-1", "event": "restart"}}, got {body[:80]!r}'
        )
