"""Log lines on stderr, written by a thread of their own, with their extra fields and their trace.

2026-11-22 12:58:31,204 WARNING harness.mayhem.handler message failed message_id=… trace_id=… span_id=…
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


@contextmanager
def logging_to_stderr(level: int) -> Iterator[None]:
    """Log while the block runs, and write what is left when it ends."""
    # A thread, because a terminal or pipe that is not read would block the loop.
    queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
    handler = QueueHandler(queue)
    # Formatted where it is logged, for there the span is current.
    handler.setFormatter(_LineFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    listener = QueueListener(queue, logging.StreamHandler())
    logging.basicConfig(level=level, handlers=[handler])
    listener.start()
    try:
        yield
    finally:
        listener.stop()


class _LineFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        span = get_current_span().get_span_context()
        if span.is_valid:
            extra.setdefault("trace_id", format_trace_id(span.trace_id))
            extra.setdefault("span_id", format_span_id(span.span_id))
        return " ".join((super().formatMessage(record), *(f"{k}={v}" for k, v in extra.items())))
