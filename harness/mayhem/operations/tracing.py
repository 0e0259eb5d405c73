"""Spans that record errors cheaply, and show a cancellation as an error.

A message carries its trace in its headers, so everything from its publication to its ack is one trace. This
module uses only the OpenTelemetry API; `telemetry.py` sets up the SDK.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from contextvars import Context as Variables
from contextvars import Token
from types import TracebackType

from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from ..errors import leaves

# A proxy that uses the process's provider once it is set.
_tracer = trace.get_tracer("harness.mayhem")

# The queue's name in spans: OpenTelemetry's `messaging.destination.name`.
DESTINATION = "restart"


class span:  # noqa: N801 - used like a function
    """Make a new span current while the block runs; an exception marks it as failed.

    When no span is recorded, it creates none, and sets the context only if a *parent* must reach the log
    lines. It is a class, because a generator-based context manager would then cost more than all the rest.

    Args:
        parent: The parent's context; by default the current span is the parent.
    """

    __slots__ = ("_span", "_token")

    def __init__(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        parent: Context | None = None,
        attributes: Mapping[str, str | int | float] | None = None,
    ) -> None:
        self._span = _tracer.start_span(
            name,
            context=parent,
            kind=kind,
            attributes=attributes,
            # Recording an exception formats its traceback: 100 µs on the loop, eight times the span's cost.
            record_exception=False,
            set_status_on_exception=False,
        )
        self._token: Token[Context] | None = None

    def __enter__(self) -> Span:
        if self._span is not trace.get_current_span():
            self._token = attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is None:
            return
        detach(self._token)
        if error is not None and self._span.is_recording():
            mark_failed(self._span, error)
        self._span.end()


def mark_failed(failed: Span, error: BaseException) -> None:
    """Set the span's status to the error.

    OpenTelemetry leaves a cancelled span without a status, which reads as success.
    """
    cause = root_cause(error)
    cancelled = isinstance(cause, asyncio.CancelledError)
    failed.set_attribute("error.type", type(cause).__name__)
    reason = "cancelled" if cancelled else f"{type(cause).__name__}: {cause}"
    failed.set_status(Status(StatusCode.ERROR, reason))


def root_cause(error: BaseException) -> BaseException:
    """The first error of nested groups, which caused the others to be cancelled."""
    return next(leaves(error))


def span_of(source: object) -> Span:
    """The current span in the context of a task or handle; an invalid span if there is none."""
    get_context = getattr(source, "get_context", None)
    if get_context is not None:
        variables = get_context()
    else:
        # Before Python 3.12, only the garbage collector knows the context.
        variables = next((one for one in gc.get_referents(source) if isinstance(one, Variables)), Variables())
    # A copy, because a context that is in use cannot be entered again.
    current: Span = variables.copy().run(trace.get_current_span)
    return current


def to_headers() -> dict[str, str]:
    """Message headers that carry the current span."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


def from_headers(headers: Mapping[str, str]) -> Context:
    """The publisher's span as a parent; an empty context if the headers are unusable."""
    return propagate.extract(headers)


def messaging(system: str, operation: str, message_id: str) -> dict[str, str | int]:
    """The attributes of every span about a message, by OpenTelemetry's conventions.

    Args:
        operation: The operation's type: ``send``, ``process`` or ``settle``.
    """
    return {
        "messaging.system": system,
        "messaging.destination.name": DESTINATION,
        "messaging.operation.type": operation,
        "messaging.message.id": message_id,
    }
