"""Spans as this service wants them: cheap when they fail, and honest when they are cancelled.

A message carries its trace in its headers, so everything from its publishing to its ack is one trace. Only
the OpenTelemetry API is used here; `telemetry.py` sets up the SDK.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

# Resolved anew once the process has a provider, so it may be fetched before.
_tracer = trace.get_tracer("harness.mayhem")

# The queue's name in spans: OpenTelemetry's `messaging.destination.name`.
DESTINATION = "restart"


@contextmanager
def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    parent: Context | None = None,
    attributes: Mapping[str, str | int] | None = None,
) -> Iterator[Span]:
    """The current span while the block runs; failed, if the block raises anything.

    Args:
        parent: Where the span belongs; none for the current span.
    """
    with _tracer.start_as_current_span(
        name,
        context=parent,
        kind=kind,
        attributes=attributes,
        # A recorded exception formats its traceback: 100 µs of the loop's time, eight times the span itself.
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as error:
            mark_failed(current, error)
            raise


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
