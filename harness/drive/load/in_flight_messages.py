"""The messages in flight: what the senders to the chaos service's brokers record about each of them.

A message counts as answered when the service has settled it. The brokers report that time in unix seconds.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from .in_flight import DriverRequest, InFlightRequests


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One restart event on its way to the broker."""

    request: DriverRequest
    id: str
    host: str
    sent_ns: int  # monotonic
    published_at: float  # `sent_ns` in unix seconds

    @property
    def body(self) -> str:
        return json.dumps({"host": self.host, "event": "restart"})

    @property
    def headers(self) -> dict[str, str]:
        return {"traceparent": self.request.traceparent}


class InFlightMessages:
    """Messages by id, in the order in which they were sent, until they are settled or fail.

    Args:
        system: The broker's name in OpenTelemetry's ``messaging.system``.
        hosts: Number of different hosts in the events.
    """

    def __init__(self, flight: InFlightRequests, system: str, hosts: int) -> None:
        self._flight = flight
        self._attributes = {
            "messaging.system": system,
            "messaging.operation.type": "send",
            "messaging.destination.name": "message",
        }
        self._hosts = hosts
        self._out: dict[str, Outgoing] = {}

    def send(self, request: DriverRequest) -> Outgoing:
        """Turn the request into a message that is sent now."""
        sent_ns = time.monotonic_ns()
        message_id, host = f"{request.n}-{request.trace_id[:8]}", f"host-{request.n % self._hosts}"
        message = Outgoing(request, message_id, host, sent_ns, _unix_s(sent_ns))
        self._flight.sent(request, sent_ns)
        self._out[message.id] = message
        return message

    def published(self, message: Outgoing, *, error: str = "") -> None:
        """Record that the broker accepted the message, or that publishing it failed with *error*."""
        start_ns, done_ns = message.sent_ns, time.monotonic_ns()
        self._flight.span(
            message.request, "publish restart", "producer", start_ns, done_ns, self._attributes, error=error
        )
        if error and self._out.pop(message.id, None) is not None:
            self._flight.end(message.request, done_ns, error=error)

    def settled(self, message_id: str, state: str, reason: str, at_s: float) -> None:
        """Record that the service settled a message; "acked" is success. Unknown messages are ignored."""
        message = self._out.pop(message_id, None)
        if message is not None:
            error = "" if state == "acked" else f"{state}: {reason}"
            self._flight.end(message.request, _monotonic_ns(at_s), error=error)

    def oldest_s(self) -> float | None:
        """Send time of the oldest message in flight, or None."""
        return next((message.published_at for message in self._out.values()), None)


def _unix_s(monotonic_ns: int) -> float:
    return (monotonic_ns + time.time_ns() - time.monotonic_ns()) / 1e9


def _monotonic_ns(unix_s: float) -> int:
    return round(unix_s * 1e9) - time.time_ns() + time.monotonic_ns()
