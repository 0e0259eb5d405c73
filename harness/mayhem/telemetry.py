"""Sets up the OpenTelemetry SDK for a process. Only `__main__` does that: the service knows the API alone."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

log = logging.getLogger(__name__)

EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
# The SDK waits 30 s for a collector that does not answer; nobody who stops a service wants to.
FLUSH_S = 5.0


@contextmanager
def telemetry(environment: Mapping[str, str]) -> Iterator[None]:
    """Spans are recorded while the block runs, and exported to where OpenTelemetry's variables say."""
    name = environment.get("OTEL_SERVICE_NAME", "mayhem")
    provider = TracerProvider(resource=Resource.create({"service.name": name}), shutdown_on_exit=False)
    if any(environment.get(endpoint) for endpoint in ENDPOINTS):
        _export(provider)
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        flushing = threading.Thread(target=provider.shutdown, name="mayhem-flush", daemon=True)
        flushing.start()
        flushing.join(FLUSH_S)
        if flushing.is_alive():
            log.warning("spans not exported in time", extra={"timeout_s": FLUSH_S})


def _export(provider: TracerProvider) -> None:
    try:
        exporter = importlib.import_module(EXPORTER).OTLPSpanExporter()
    except ImportError:
        log.warning("spans not exported: opentelemetry-exporter-otlp-proto-http is not installed")
    else:
        provider.add_span_processor(BatchSpanProcessor(exporter))
