"""What no task awaited and no handler caught: the last word on an exception, from wherever it comes."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opentelemetry.trace import format_span_id, format_trace_id

from ..process.stack_dump import awaiting
from .failure_ledger import End, FailureLedger
from .tracing import span_of

log = logging.getLogger(__name__)

# Its own frames say nothing of where a task came from.
ASYNCIO = str(Path(asyncio.__file__).parent)


@contextmanager
def record_unhandled(failures: FailureLedger) -> Iterator[None]:
    """While the block runs, what nobody handles is logged and counted.

    That is what the running loop complains about, what ends a thread, and what a finaliser raises.
    """
    loop = asyncio.get_running_loop()
    unhandled = _Unhandled(failures)
    before = loop.get_exception_handler(), threading.excepthook, sys.unraisablehook
    loop.set_exception_handler(unhandled.in_loop)
    threading.excepthook, sys.unraisablehook = unhandled.in_thread, unhandled.in_finaliser
    try:
        yield
    finally:
        handler, threading.excepthook, sys.unraisablehook = before
        loop.set_exception_handler(handler)


class _Unhandled:
    """The hooks: asyncio's, threading's and the interpreter's."""

    def __init__(self, failures: FailureLedger) -> None:
        self._failures = failures

    def in_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        source = context.get("task") or context.get("future") or context.get("handle")
        stack = _stack(source)
        if error is None:  # for example a task that was destroyed while it waited
            self._failures.note_kind(context["message"], stack[-1] if stack else "", End.UNHANDLED)
        else:
            self._failures.note(error, End.UNHANDLED)
        span = span_of(source).get_span_context()
        log.error(
            "unhandled: %s",
            context["message"],
            exc_info=error,
            extra={
                "task": source.get_name() if isinstance(source, asyncio.Task) else "",
                "trace_id": format_trace_id(span.trace_id),
                "span_id": format_span_id(span.span_id),
                "origin": _origin(context),
                "stack": " > ".join(stack),
            },
        )

    def in_thread(self, hook: threading.ExceptHookArgs) -> None:
        name = hook.thread.name if hook.thread else ""
        self._tell("in a thread", hook.exc_value or hook.exc_type(), {"in_thread": name})

    def in_finaliser(self, hook: sys.UnraisableHookArgs) -> None:
        self._tell(
            hook.err_msg or "in a finaliser", hook.exc_value or hook.exc_type(), {"object": repr(hook.object)}
        )

    def _tell(self, message: str, error: BaseException, extra: dict[str, str]) -> None:
        self._failures.note(error, End.UNHANDLED)
        log.error("unhandled: %s", message, exc_info=error, extra=extra)


def _origin(context: dict[str, Any]) -> str:
    """Where the task or handle was created, which only the debug mode knows."""
    for frame in reversed(context.get("source_traceback") or ()):
        if not frame.filename.startswith(ASYNCIO):
            return f"{frame.filename}:{frame.lineno}"
    return ""


def _stack(source: object) -> list[str]:
    """Where a task that did not end waits, innermost last, as far as the collector has left it."""
    if not isinstance(source, asyncio.Task):
        return []
    coroutine = source.get_coro()
    frames = [f"{frame.f_code.co_qualname}:{frame.f_lineno}" for frame in awaiting(coroutine)]
    return frames or [getattr(coroutine, "__qualname__", "")]
