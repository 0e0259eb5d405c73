"""Sets up the OpenTelemetry SDK for `__main__`; the rest of the service uses only the API.

OpenTelemetry's own variables (``OTEL_…``) configure what is exported, and where to; the SDK reads most of
them itself.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.environment_variables import OTEL_BSP_MAX_QUEUE_SIZE
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from ..errors import SettingsError

log = logging.getLogger(__name__)

# Size of the export queue: a busy second has five spans per message, more than the SDK's default of 2,048.
# At most some 50 MB.
QUEUE = 16_384
# Maximum wait for the last flush. The SDK would wait 30 s for a collector that does not answer.
FLUSH_S = 5.0
# OTLP over HTTP; the SDK's default is gRPC, which needs a library of 20 MB.
PROTOCOLS = {"otlp": "otlp_proto_http"}
EXTRAS = {"otlp": "otlp", "otlp_proto_http": "otlp"}


@contextmanager
def telemetry(environment: Mapping[str, str], *, readers: Sequence[MetricReader] = ()) -> Iterator[None]:
    """Record spans and metrics while the block runs, if they are exported anywhere.

    Args:
        readers: Metric readers in addition to those that the variables name.

    Raises:
        SettingsError: A variable names an exporter that is not installed.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield
        return
    resource = Resource.create({SERVICE_NAME: "mayhem"}).merge(OTELResourceDetector().detect())
    spans = _ObservedProvider(resource=resource, shutdown_on_exit=False)
    counted = [_CountingExporter(exporter) for exporter in _exporters("traces", environment)]
    for exporter in counted:
        spans.add_span_processor(_CountingProcessor(exporter))
    if spans.has_processor:
        trace.set_tracer_provider(spans)
    readers = [*readers, *map(_reader, _exporters("metrics", environment))]
    meters = MeterProvider(readers, resource, shutdown_on_exit=False)
    if readers:
        metrics.set_meter_provider(meters)
    try:
        yield
    finally:
        _run_within(FLUSH_S, spans.shutdown, meters.shutdown)
        for exporter in counted:
            if lost := exporter.offered - exporter.exported:
                log.warning("spans not exported", extra={"lost": lost, "exported": exporter.exported})


def _exporters(signal: str, environment: Mapping[str, str]) -> Iterator[Any]:
    """The exporters named by ``OTEL_TRACES_EXPORTER`` and the like; OTLP if only an endpoint is set."""
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    endpoints = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    default = "otlp" if any(map(environment.get, endpoints)) else "none"
    for name in filter(None, map(str.strip, (environment.get(variable) or default).split(","))):
        if name == "none":
            continue
        found = entry_points(group=f"opentelemetry_{signal}_exporter", name=PROTOCOLS.get(name, name))
        try:
            make = next(iter(found)).load()
        except (StopIteration, ImportError):
            advice = f"; pip install 'asyncio-harness[{EXTRAS[name]}]'" if name in EXTRAS else ""
            raise SettingsError(f"{variable}: no exporter {name!r} is installed{advice}") from None
        yield make()


def _reader(exporter: Any) -> MetricReader:
    return exporter if isinstance(exporter, MetricReader) else PeriodicExportingMetricReader(exporter)


def _run_within(limit_s: float, *steps: Callable[[], object]) -> None:
    """Run the steps in a thread, and leave it behind if it takes too long."""

    def run_steps() -> None:
        for step in steps:
            step()

    flushing = threading.Thread(target=run_steps, name="mayhem-flush", daemon=True)
    flushing.start()
    flushing.join(limit_s)
    if flushing.is_alive():
        log.warning("telemetry not flushed in time", extra={"limit_s": limit_s})


class _ObservedProvider(TracerProvider):
    """Knows whether it has a span processor; without one, no spans need to be created.

    A tool that instruments this process may also add one, by patching `TracerProvider.__init__`.
    """

    has_processor = False

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        self.has_processor = True
        super().add_span_processor(span_processor)


class _CountingExporter(SpanExporter):
    """Counts exported spans; the SDK reports an overflowing queue only once."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.offered = 0
        self.exported = 0
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.exported += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _CountingProcessor(BatchSpanProcessor):
    """Exports in batches from a thread, and counts the spans it is given."""

    def __init__(self, exporter: _CountingExporter) -> None:
        size = None if OTEL_BSP_MAX_QUEUE_SIZE in os.environ else QUEUE
        super().__init__(exporter, max_queue_size=size)
        self._counted = exporter

    def on_end(self, span: ReadableSpan) -> None:
        # Spans end in several threads; without a lock, the count may rarely be off by one.
        self._counted.offered += 1
        super().on_end(span)
