"""Fixtures of the service's tests: asyncio's debug mode, and recorded spans."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.mayhem.support.broker_servers import nats_server, redis_server  # noqa: F401 - fixtures
from tests.mayhem.support.postgres_server import database_url, postgres_server  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
async def debug_mode() -> None:
    """Slow callbacks are logged, and never-awaited coroutines are reported with their origin."""
    asyncio.get_running_loop().set_debug(True)


@pytest.fixture
def spans() -> Iterator[Any]:
    """All spans that end during the test."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        # A process can set a provider only once, so an existing one is reused.
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()
