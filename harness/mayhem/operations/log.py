"""Log lines on stderr, as text or JSON, with their extra fields and their trace.

2026-11-22 12:58:31,204 WARNING harness.mayhem.messages.handler message failed message_id=… trace_id=…

A thread writes them, because a terminal or pipe that is not read would block the loop. A message logged a
thousand times per second is written ten times, followed by the number of lines left out.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

# Maximum lines per window with the same message.
REPEATS = 10
WINDOW_S = 1.0
# Maximum number of distinct messages that are throttled; libraries may log any number of them.
MESSAGES = 1_000
# Maximum lines in the queue, of a few hundred bytes each.
LINES = 10_000
# Time for writing the queue at the end, in case the pipe is not read.
CLOSE_S = 2.0

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


@contextmanager
def logging_to_stderr(level: int | str, form: str = "text") -> Iterator[None]:
    """Log while the block runs; its end waits for the queue.

    Args:
        form: ``text``, or ``json`` for one JSON object per line.
    """
    formatter = _JsonFormatter() if form == "json" else _TextFormatter()
    handler = _ThrottledHandler(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        fields = (f"{name}={value}" for name, value in _fields(record).items())
        return " ".join((super().formatMessage(record), *fields))


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    span = get_current_span().get_span_context()
    if span.is_valid:
        fields.setdefault("trace_id", format_trace_id(span.trace_id))
        fields.setdefault("span_id", format_span_id(span.span_id))
    return fields


@dataclass(slots=True)
class _Repeated:
    until_s: float
    logged: int = 0
    left_out: int = 0


class _ThrottledHandler(logging.Handler):
    """Formats in the logging thread, where the span is current; another thread writes the lines."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        # `queue.Queue` would deadlock if a finaliser or signal handler logged during its `put`.
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._repeated: dict[tuple[str, int, object], _Repeated] = {}
        self._dropped = 0
        self._writing = threading.Thread(target=self._write, name="mayhem-log", daemon=True)
        self._writing.start()

    def emit(self, record: logging.LogRecord) -> None:
        # logging holds the handler's lock here.
        if not self._is_within_limit(record):
            return
        if self._queue.qsize() >= LINES:
            self._dropped += 1
            return
        try:
            self._queue.put(self.format(record))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        self._queue.put(None)
        self._writing.join(CLOSE_S)
        super().close()

    def _is_within_limit(self, record: logging.LogRecord) -> bool:
        key = (record.name, record.levelno, record.msg)
        repeated = self._repeated.get(key)
        if repeated is None:
            if len(self._repeated) >= MESSAGES:
                return True
            repeated = self._repeated[key] = _Repeated(time.monotonic() + WINDOW_S)
        if repeated.logged >= REPEATS:
            repeated.left_out += 1
            return False
        repeated.logged += 1
        return True

    def _write(self) -> None:
        sweep_at_s = time.monotonic() + WINDOW_S
        while True:
            try:
                line = self._queue.get(timeout=max(0.0, sweep_at_s - time.monotonic()))
            except Empty:
                line = ""
            if line:
                _to_stderr(line)
            if line is None or time.monotonic() >= sweep_at_s:
                for left_out in self._left_out(everything=line is None):
                    _to_stderr(left_out)
                sweep_at_s = time.monotonic() + WINDOW_S
            if line is None:
                return

    def _left_out(self, *, everything: bool) -> list[str]:
        """Remove the windows that are over, and return lines that report what they left out."""
        now_s = time.monotonic()
        self.acquire()
        try:
            over = [k for k, repeated in self._repeated.items() if everything or repeated.until_s <= now_s]
            found = [(key, self._repeated.pop(key).left_out) for key in over]
            dropped, self._dropped = self._dropped, 0
        finally:
            self.release()
        records = [_about(*key, left_out=left_out) for key, left_out in found if left_out]
        if dropped:
            records.append(_about(__name__, logging.WARNING, "log lines dropped", left_out=dropped))
        return [self.format(record) for record in records]


def _about(name: str, level: int, message: object, *, left_out: int) -> logging.LogRecord:
    # The unformatted message, because each line had different arguments.
    record = logging.LogRecord(name, level, "", 0, str(message), (), None)
    record.left_out = left_out
    return record


def _to_stderr(line: str) -> None:
    # A thread that holds the lock of `sys.stderr` when Python exits would abort the process.
    data = line.encode(errors="backslashreplace") + b"\n"
    try:
        while data:
            data = data[os.write(2, data) :]
    except OSError:
        pass  # stderr is closed
