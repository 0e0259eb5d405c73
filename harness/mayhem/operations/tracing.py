"""Spans as this service wants them: cheap when they fail, and honest when they are cancelled.

A message carries its trace in its headers, so everything from its publishing to its ack is one trace. Only
the OpenTelemetry API is used here; `telemetry.py` sets up the SDK.
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

# Resolved anew once the process has a provider, so it may be fetched before.
_tracer = trace.get_tracer("harness.mayhem")

# The queue's name in spans: OpenTelemetry's `messaging.destination.name`.
DESTINATION = "restart"


class span:  # noqa: N801 - used like the function it would be, were it not for the cost
    """The current span while the block runs; failed, if the block raises anything.

    A class, because a generator costs more than all else it does where nobody records: there it neither makes
    a span nor touches the context, unless there is a *parent* to be known to what is logged.

    Args:
        parent: Where the span belongs; none for the current span.
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
            # A recorded exception formats its traceback: 100 µs of the loop's time, eight times the span.
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
    """Say on the span why it failed.

    OpenTelemetry leaves a cancelled span without a status, which reads as success.
    """
    cause = root_cause(error)
    cancelled = isinstance(cause, asyncio.CancelledError)
    failed.set_attribute("error.type", type(cause).__name__)
    failed.set_status(
        Status(StatusCode.ERROR, "cancelled" if cancelled else f"{type(cause).__name__}: {cause}")
    )


def root_cause(error: BaseException) -> BaseException:
    """The first error of nested groups: what happened before the group cancelled the rest."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def span_of(source: object) -> Span:
    """The span that a task or a loop's handle runs under, seen from outside; an invalid one, if none."""
    get_context = getattr(source, "get_context", None)
    if get_context is not None:
        variables = get_context()
    else:
        # Before Python 3.12 only the garbage collector is told.
        variables = next((one for one in gc.get_referents(source) if isinstance(one, Variables)), Variables())
    # A copy, because one that is being run in cannot be entered again.
    current: Span = variables.copy().run(trace.get_current_span)
    return current


def to_headers() -> dict[str, str]:
    """The current span as headers for a message."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


def from_headers(headers: Mapping[str, str]) -> Context:
    """The publisher's span as a parent; without usable headers, a root."""
    return propagate.extract(headers)


def messaging(system: str, operation: str, message_id: str) -> dict[str, str | int]:
    """The attributes every span about a message has, by OpenTelemetry's conventions.

    Args:
        operation: The type of the operation: ``send``, ``process`` or ``settle``.
    """
    return {
        "messaging.system": system,
        "messaging.destination.name": DESTINATION,
        "messaging.operation.type": operation,
        "messaging.message.id": message_id,
    }
