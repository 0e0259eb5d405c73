"""Log lines have their fields and trace; repeated messages and unread lines are limited."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from harness.mayhem.operations.log import REPEATS, WINDOW_S, logging_to_stderr
from harness.mayhem.operations.tracing import span

FLOOD = 1_000


@contextmanager
def logging_alone(form: str = "text") -> Iterator[Any]:
    """Log without pytest's own handlers."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    level = root.level
    try:
        with logging_to_stderr(logging.INFO, form):
            yield logging.getLogger("a")
    finally:
        root.handlers = handlers
        root.setLevel(level)


def test_text_has_fields_and_trace(capfd: pytest.CaptureFixture[str], spans: InMemorySpanExporter) -> None:
    """A line has its message, its extra fields and, in a span, the trace."""
    with logging_alone() as log:
        with span("outer") as outer:
            log.info("told", extra={"message_id": "x"})
        log.info("untraced")

    traced, untraced = capfd.readouterr().err.splitlines()
    context = outer.get_span_context()
    assert traced.endswith(
        f"INFO a told message_id=x trace_id={context.trace_id:032x} span_id={context.span_id:016x}"
    )
    assert untraced.endswith("INFO a untraced")


def test_json_has_one_object_per_line(capfd: pytest.CaptureFixture[str], spans: InMemorySpanExporter) -> None:
    """Fields keep their types, and a traceback is a field."""
    with logging_alone("json") as log:
        with span("outer") as outer:
            log.info("told %d", 3, extra={"count": 3, "where": {"a"}})
        try:
            raise ValueError("a\nb")
        except ValueError:
            log.exception("failed")

    told, failed = map(json.loads, capfd.readouterr().err.splitlines())
    context = outer.get_span_context()
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "INFO",
        "logger": "a",
        "message": "told 3",
        "count": 3,
        "where": "{'a'}",
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
    }
    assert (failed["level"], failed["message"]) == ("ERROR", "failed")
    assert failed["exception"].endswith("ValueError: a\nb")


def test_a_flood_is_cut_and_counted(capfd: pytest.CaptureFixture[str]) -> None:
    """A message logged a thousand times gives a few lines, and one with the number left out."""
    with logging_alone() as log:
        for number in range(FLOOD):
            log.warning("failed: %d %%", number, extra={"number": number})
        log.warning("something else")

    lines = capfd.readouterr().err.splitlines()
    told = [line for line in lines if "number=" in line]
    left_out = sum(int(line.rpartition("left_out=")[2]) for line in lines if "left_out=" in line)
    assert len(told) < FLOOD / 10
    assert len(told) >= REPEATS
    assert len(told) + left_out == FLOOD
    assert any(line.endswith("WARNING a something else") for line in lines)
    assert lines[-1].split(" WARNING ")[1].startswith("a failed: %d %% left_out=")


@pytest.mark.long
def test_after_a_flood_the_message_is_told_again(capfd: pytest.CaptureFixture[str]) -> None:
    """The number left out is logged within seconds, and not only at the end."""
    with logging_alone() as log:
        for _ in range(REPEATS + 5):
            log.warning("failed")
        seen, deadline = "", time.monotonic() + 20 * WINDOW_S
        while "left_out=5" not in seen:
            assert time.monotonic() < deadline
            time.sleep(0.02)
            seen += capfd.readouterr().err
        log.warning("failed", extra={"again": True})

    assert "failed again=True" in capfd.readouterr().err


UNREAD = """
import logging, os, sys
from harness.mayhem.operations.log import logging_to_stderr
with logging_to_stderr(logging.INFO):
    for number in range(15_000):
        logging.getLogger("a").info(f"line {number} " + 100 * "x")
    os.write(1, b"through")
"""


@pytest.mark.long
def test_a_pipe_that_nobody_reads_holds_nothing() -> None:
    """If the pipe is not read, lines are dropped: nothing blocks, and memory is bounded."""
    hears, told = os.pipe()
    with subprocess.Popen([sys.executable, "-c", UNREAD], stdout=subprocess.PIPE, stderr=told) as process:
        os.close(told)
        out, _ = process.communicate(timeout=60)
    os.close(hears)

    assert (process.returncode, out) == (0, b"through")
