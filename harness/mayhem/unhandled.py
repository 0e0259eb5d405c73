"""What no task awaited and no handler caught: the last word of the loop's exception handler."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from opentelemetry.trace import Span, format_span_id, format_trace_id, get_current_span

log = logging.getLogger(__name__)

# Its own frames say nothing of where a task came from.
ASYNCIO = str(Path(asyncio.__file__).parent)


class Unhandled:
    """Logs what the loop complains about, with its task, span and stack, and counts it."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.count += 1
        source = context.get("task") or context.get("future") or context.get("handle")
        span = _span_of(source).get_span_context()
        log.error(
            "unhandled: %s",
            context["message"],
            exc_info=context.get("exception"),
            extra={
                "unhandled": self.count,
                "task": source.get_name() if isinstance(source, asyncio.Task) else "",
                "trace_id": format_trace_id(span.trace_id),
                "span_id": format_span_id(span.span_id),
                "origin": _origin(context),
            },
        )


def _span_of(source: object) -> Span:
    # Tasks and handles tell their context since Python 3.12; before, only what is current can be told.
    get_context = getattr(source, "get_context", None)
    if get_context is None:
        return get_current_span()
    # A copy, because a context that is being run in cannot be entered again.
    span: Span = get_context().copy().run(get_current_span)
    return span


def _origin(context: dict[str, Any]) -> str:
    """Where the task or handle was created, which only the debug mode knows."""
    for frame in reversed(context.get("source_traceback") or ()):
        if not frame.filename.startswith(ASYNCIO):
            return f"{frame.filename}:{frame.lineno}"
    return ""
