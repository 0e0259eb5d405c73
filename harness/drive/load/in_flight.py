"""The requests in flight: what the driver records about each of them, from its due time to its end."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from ...record.event import Completed, RequestFailure, Sent, SpanEnded
from ...record.redact import redacted
from ...record.writer import Writer

# Upper bound on requests in flight. Beyond it, the driver would run out of memory and descriptors.
MOST = 10_000


@dataclass(frozen=True, slots=True)
class DriverRequest:
    """One request of the schedule, and the span that is the parent of the target's spans."""

    n: int
    intended_ns: int
    trace_id: str
    span_id: str
    step: int = -1  # of a visit; see `LoadStarted`

    @property
    def traceparent(self) -> str:
        """The W3C header that carries the span: version, trace, span, sampled."""
        return f"00-{self.trace_id}-{self.span_id}-01"


class InFlightRequests:
    """Counts the requests and writes their events. Used only in the loop's thread."""

    def __init__(self, writer: Writer) -> None:
        self.offered = 0
        self._writer = writer
        self._count = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def unrecorded(self) -> str:
        """Why events cannot be recorded; "" while they can."""
        return self._writer.error

    def begin(self, intended_ns: int, *, step: int = -1) -> DriverRequest | None:
        """Begin the next request of the schedule; `None` if too many are in flight, which is recorded."""
        ids = os.urandom(24).hex()
        request = DriverRequest(self.offered, intended_ns, trace_id=ids[:32], span_id=ids[32:], step=step)
        self.offered += 1
        if self._count >= MOST:
            self._writer.write(
                Completed(
                    request.n,
                    time.monotonic_ns(),
                    ok=False,
                    error="in-flight limit",
                    kind=RequestFailure.IN_FLIGHT,
                    due_ns=intended_ns,
                    step=step,
                )
            )
            return None
        self._count += 1
        self._empty.clear()
        return request

    def sent(self, request: DriverRequest, sent_ns: int) -> None:
        """Record that the request left the driver."""
        self._writer.write(Sent(request.n, request.intended_ns, sent_ns, request.trace_id, request.step))

    def span(
        self,
        request: DriverRequest,
        name: str,
        kind: str,
        start_ns: int,
        end_ns: int,
        attributes: Mapping[str, str | int],
        *,
        error: str = "",
    ) -> None:
        """Record the driver's own span of the request, the root of its trace; it has ended."""
        self._writer.write(
            SpanEnded(
                name=name,
                kind=kind,
                trace_id=request.trace_id,
                span_id=request.span_id,
                parent_id="",
                start_ns=start_ns,
                end_ns=end_ns,
                status="error" if error else "unset",
                thread="driver",
                attributes=dict(attributes),
                pid=os.getpid(),
            )
        )

    def end(
        self,
        request: DriverRequest,
        done_ns: int,
        *,
        error: str = "",
        kind: RequestFailure | None = None,
    ) -> None:
        """Record that the request was answered, or failed with *error*."""
        shown = redacted(error) if error else ""
        self._writer.write(Completed(request.n, done_ns, ok=not error, error=shown, kind=kind or ""))
        self._count -= 1
        if not self._count:
            self._empty.set()

    async def wait_empty(self) -> None:
        """Return when no request is in flight."""
        await self._empty.wait()
