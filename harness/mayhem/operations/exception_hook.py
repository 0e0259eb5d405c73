"""Hooks for exceptions that no code handled."""

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

# Frames in this folder do not count as a task's origin.
ASYNCIO = str(Path(asyncio.__file__).parent)


@contextmanager
def record_unhandled(failures: FailureLedger) -> Iterator[None]:
    """Log and count unhandled exceptions while the block runs.

    They come from the running loop's exception handler, from threads, and from finalisers.
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
    def __init__(self, failures: FailureLedger) -> None:
        self._failures = failures

    def in_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        source = context.get("task") or context.get("future") or context.get("handle")
        stack = _stack(source)
        if error is None:  # for example a task that was destroyed while pending
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
        self._report("in a thread", hook.exc_value or hook.exc_type(), {"in_thread": name})

    def in_finaliser(self, hook: sys.UnraisableHookArgs) -> None:
        message, error = hook.err_msg or "in a finaliser", hook.exc_value or hook.exc_type()
        self._report(message, error, {"object": repr(hook.object) if hook.object is not None else ""})

    def _report(self, message: str, error: BaseException, extra: dict[str, str]) -> None:
        self._failures.note(error, End.UNHANDLED)
        log.error("unhandled: %s", message, exc_info=error, extra=extra)


def _origin(context: dict[str, Any]) -> str:
    """Where the task or handle was created; known only in debug mode."""
    for frame in reversed(context.get("source_traceback") or ()):
        if not frame.filename.startswith(ASYNCIO):
            return f"{frame.filename}:{frame.lineno}"
    return ""


def _stack(source: object) -> list[str]:
    """Where a pending task waits, innermost last; partial if the garbage collector has cleared frames."""
    if not isinstance(source, asyncio.Task):
        return []
    coroutine = source.get_coro()
    frames = [f"{frame.f_code.co_qualname}:{frame.f_lineno}" for frame in awaiting(coroutine)]
    return frames or [getattr(coroutine, "__qualname__", "")]
