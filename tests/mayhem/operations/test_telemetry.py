"""Spans and metrics are exported as OpenTelemetry's variables say; a dead collector blocks nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from harness.mayhem.operations.telemetry import FLUSH_S
from tests.mayhem.support.otlp_receiver import receiving

SPANS = 6_000
# Makes spans in the service's telemetry, and prints what it knows about them.
PROGRAM = f"""
import json, logging, os, sys, time
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from harness.mayhem.errors import SettingsError
from harness.mayhem.operations.log import logging_to_stderr
from harness.mayhem.operations.metrics import record_settled
from harness.mayhem.operations.telemetry import telemetry
from harness.mayhem.operations.tracing import span

exec(os.environ.get("BEFORE", ""))
ids, recorded = [], 0
with logging_to_stderr(logging.INFO):
    try:
        with telemetry(os.environ):
            for number in range({SPANS}):
                with span("made") as made:
                    ids.append(f"{{made.get_span_context().span_id:016x}}")
                    recorded += made.is_recording()
            record_settled("ack")
            began = time.monotonic()
    except SettingsError as exc:
        sys.exit(f"mayhem: {{exc}}")
took_s = time.monotonic() - began
sdk = isinstance(trace.get_tracer_provider(), TracerProvider)
print(json.dumps({{"ids": ids, "recorded": recorded, "took_s": took_s, "sdk": sdk}}))
sys.stdout.flush()
os._exit(0)
"""


def ended(**variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**clean, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


def told(**variables: str) -> tuple[dict[str, Any], str]:
    done = ended(**variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_every_span_arrives_also_those_of_the_end() -> None:
    """The collector gets each span once, with the service's name and resource."""
    with receiving() as received:
        made, log = told(
            OTEL_EXPORTER_OTLP_ENDPOINT=received.url,
            OTEL_SERVICE_NAME="fleet",
            OTEL_RESOURCE_ATTRIBUTES="region=north",
        )

    assert sorted(span.span_id.hex() for span in received.spans) == sorted(made["ids"])
    assert made["recorded"] == SPANS
    assert (received.resource["service.name"], received.resource["region"]) == ("fleet", "north")
    assert "mayhem.settled.messages" in received.metrics
    assert "not exported" not in log


def test_only_what_is_sampled_arrives() -> None:
    """The SDK's sampler variables apply, and the service has a default name."""
    with receiving() as received:
        made, _ = told(
            OTEL_TRACES_EXPORTER="otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT=received.url,
            OTEL_TRACES_SAMPLER="traceidratio",
            OTEL_TRACES_SAMPLER_ARG="0.25",
        )

    assert len(received.spans) == made["recorded"]
    assert 0.15 * SPANS < made["recorded"] < 0.35 * SPANS
    assert received.resource["service.name"] == "mayhem"


def test_what_does_not_fit_into_the_queue_is_counted() -> None:
    """If the collector is too slow, spans are dropped and the log has their number."""
    silent = threading.Event()
    threading.Timer(1.0, silent.set).start()
    with receiving(silent=silent) as received:
        made, log = told(OTEL_EXPORTER_OTLP_ENDPOINT=received.url, OTEL_BSP_MAX_QUEUE_SIZE="1000")

    lost = SPANS - len(received.spans)
    assert made["recorded"] == SPANS
    assert lost > 0
    assert f"spans not exported lost={lost} exported={len(received.spans)}" in log


# The SDK itself would wait for 10 to 30 seconds.
IMPATIENT = "import harness.mayhem.operations.telemetry; harness.mayhem.operations.telemetry.FLUSH_S = 1"


@pytest.mark.parametrize("how", ["refuses", "is silent"])
def test_a_dead_collector_costs_a_bounded_wait(how: str) -> None:
    """A dead collector delays the exit for a few seconds at most, and the log reports it."""
    never = threading.Event()
    with receiving(silent=never) as received:
        url = received.url if how == "is silent" else "http://127.0.0.1:1"
        made, log = told(OTEL_EXPORTER_OTLP_ENDPOINT=url, BEFORE=IMPATIENT)
        never.set()

    assert 1 <= made["took_s"] < FLUSH_S
    assert f"spans not exported lost={SPANS} exported=0" in log


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
    ],
    ids=["nothing said", "none", "disabled"],
)
def test_without_an_exporter_no_spans_are_made(variables: dict[str, str]) -> None:
    """Without an exporter, no spans are created."""
    made, log = told(**variables, OTEL_METRICS_EXPORTER="none")

    assert (made["recorded"], made["sdk"], log) == (0, False, "")


# Adds a span processor as an instrumenting tool does.
WATCHED = """
own = TracerProvider.__init__
def init(provider, *args, **kwargs):
    own(provider, *args, **kwargs)
    provider.add_span_processor(SpanProcessor())
TracerProvider.__init__ = init
"""


def test_who_adds_a_processor_gets_spans() -> None:
    """A provider with a span processor is used, even without an exporter in the variables."""
    made, _ = told(BEFORE=WATCHED)

    assert (made["recorded"], made["sdk"]) == (SPANS, True)


def test_console_is_an_exporter() -> None:
    """The SDK's console exporter works without an extra."""
    done = ended(OTEL_TRACES_EXPORTER="console", OTEL_METRICS_EXPORTER="none")

    assert done.stdout.count('"name": "made"') == SPANS


MISSING = "sys.modules['opentelemetry.exporter'] = None"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "BEFORE": MISSING},
            "OTEL_TRACES_EXPORTER: no exporter 'otlp' is installed; pip install 'asyncio-harness[otlp]'",
        ),
        ({"OTEL_METRICS_EXPORTER": "abacus"}, "OTEL_METRICS_EXPORTER: no exporter 'abacus' is installed"),
    ],
)
def test_an_exporter_that_is_missing_is_one_clear_error(variables: dict[str, str], expected: str) -> None:
    """A missing exporter is an error that names the extra to install."""
    done = ended(**variables)

    assert (done.returncode, done.stderr) == (1, f"mayhem: {expected}\n")


def test_the_wait_has_a_reason() -> None:
    """Control: a collector that answers late, but in time, gets everything."""
    silent = threading.Event()
    threading.Timer(0.5, silent.set).start()
    with receiving(silent=silent) as received:
        began = time.monotonic()
        told(OTEL_EXPORTER_OTLP_ENDPOINT=received.url)

    assert time.monotonic() - began > 0.5
    assert len(received.spans) == SPANS
