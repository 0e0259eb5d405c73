"""Finds the current OpenTelemetry span, once the target itself has imported OpenTelemetry."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import Any


def span_variable() -> ContextVar[Any] | None:
    """The variable that holds OpenTelemetry's current values."""
    tracing = sys.modules.get("opentelemetry.context")
    return getattr(getattr(tracing, "_RUNTIME_CONTEXT", None), "_current_context", None)


def span_in(values: Any) -> Any:
    """The span among these values, as OpenTelemetry's own object; `None` if there is none."""
    keys = sys.modules.get("opentelemetry.trace.propagation")
    return values.get(getattr(keys, "_SPAN_KEY", "")) if values else None
