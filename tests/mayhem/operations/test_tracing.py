"""One trace per message: from its publishing to its ack, through threads and headers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from harness.mayhem.brokers.memory.broker import MemoryBroker
from harness.mayhem.brokers.sqlite.broker import SqliteBroker
from harness.mayhem.database import Database
from harness.mayhem.errors import HostUnavailableError
from harness.mayhem.fleet import Fleet
from harness.mayhem.hosts.latency import Fixed
from harness.mayhem.hosts.sdk import MachineClient
from harness.mayhem.message import Delivery, RestartEvent
from harness.mayhem.messages import policy
from harness.mayhem.messages.circuit import Circuits
from harness.mayhem.messages.consumer import Consumer
from harness.mayhem.messages.handler import Handler
from harness.mayhem.messages.lease import Leases
from harness.mayhem.messages.publisher import publish, publish_steadily
from harness.mayhem.operations.failure_ledger import FailureLedger
from harness.mayhem.operations.tracing import span
from harness.mayhem.process.thread_pool import ThreadPool
from harness.mayhem.settings import Settings
from harness.mayhem.stores.sqlite import SqliteStore
from tests.mayhem.support.clock import LEASE_S
from tests.mayhem.support.stage import failing, forever, staged

PATIENCE_S = 20


def tree(
    spans: InMemorySpanExporter,
) -> tuple[set[tuple[str, SpanKind, str | None]], int]:
    """Each finished span as (name, kind, parent's name or None), and the number of traces."""
    finished = spans.get_finished_spans()
    names: dict[int, str] = {s.context.span_id: s.name for s in finished}
    rows = {(s.name, s.kind, s.parent and names[s.parent.span_id]) for s in finished}
    return rows, len({s.context.trace_id for s in finished})


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = [s for s in spans.get_finished_spans() if s.name == name]
    return found


def named_of(spans: InMemorySpanExporter, name: str, attribute: str, value: str) -> ReadableSpan:
    (found,) = [
        s for s in spans.get_finished_spans() if s.name == name and (s.attributes or {})[attribute] == value
    ]
    return found


WHOLE_LIFE = {
    ("publish restart", SpanKind.PRODUCER, None),
    ("process restart", SpanKind.CONSUMER, "publish restart"),
    ("restart host", SpanKind.INTERNAL, "process restart"),
    ("check health", SpanKind.INTERNAL, "restart host"),
    ("save", SpanKind.CLIENT, "process restart"),
    ("extend", SpanKind.CLIENT, "process restart"),
    ("ack", SpanKind.CLIENT, "process restart"),
}


async def test_whole_life_of_a_message_is_one_trace(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    """All spans of a message's life form one trace, each with the right parent."""
    extended = asyncio.Event()
    checked_in = []

    class TellingBroker(SqliteBroker):
        async def extend(self, delivery: Delivery) -> None:
            await super().extend(delivery)
            extended.set()

        async def ack(self, delivery: Delivery) -> None:
            await super().ack(delivery)
            self.drain()

    class PatientHost:
        async def restart(self) -> None:
            await extended.wait()

        def check_health(self) -> None:
            checked_in.append((threading.current_thread(), get_current_span().get_span_context()))

    async with Database(tmp_path / "mayhem.db") as database, ThreadPool(2) as threads:
        broker, store = TellingBroker(database, lease_s=LEASE_S), SqliteStore(database)
        await broker.create()
        await store.create()
        failures = FailureLedger()
        async with Leases(broker, failures, lease_s=0.03) as leases, asyncio.timeout(PATIENCE_S):
            handler = Handler(
                broker,
                store,
                Fleet(lambda name: PatientHost(), threads),
                leases=leases,
                circuits=Circuits(),
                failures=failures,
                max_deliveries=1,
                random=Random(1),
            )
            await publish(broker, RestartEvent("web-1"))
            await Consumer(broker, handler.handle, concurrency=2).run()

    assert tree(spans) == (WHOLE_LIFE, 1)
    ((thread, context),) = checked_in
    assert thread is not threading.main_thread()
    assert context == named(spans, "check health").context
    process = named(spans, "process restart")
    assert process.attributes == {
        "messaging.system": "sqlite",
        "messaging.destination.name": "restart",
        "messaging.operation.type": "process",
        "messaging.message.id": (named(spans, "publish restart").attributes or {})["messaging.message.id"],
        "mayhem.delivery": 1,
        "mayhem.lease_s": 0.03,
    }
    assert {s.status.status_code for s in spans.get_finished_spans()} == {StatusCode.UNSET}


async def test_default_hosts_have_one_whose_restart_crosses_threads(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blocking library is called in a thread with its span; other hosts need no thread."""
    called = []

    def told(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(client: MachineClient, *args: float) -> Any:
            called.append(
                (method.__name__, threading.current_thread(), get_current_span().get_span_context())
            )
            return method(client, *args)

        return call

    monkeypatch.setattr(MachineClient, "restart", told(MachineClient.restart))
    monkeypatch.setattr(MachineClient, "health", told(MachineClient.health))
    inventory = replace(Settings().inventory, latency=Fixed(0.001))
    async with (
        ThreadPool(1) as threads,
        Fleet(inventory.maker(threads), threads, names=inventory.names) as fleet,
    ):
        for name in inventory.names:
            await fleet.restart(name)

    ours = named_of(spans, "restart host", "host.name", inventory.names[-1]).context
    health = next(
        s.context for s in spans.get_finished_spans() if s.parent and s.parent.span_id == ours.span_id
    )
    assert [(name, context) for name, _, context in called] == [("restart", ours), ("health", health)]
    assert threading.main_thread() not in {thread for _, thread, _ in called}
    assert [s.name for s in spans.get_finished_spans()].count("check health") == len(inventory.names) == 10


@pytest.mark.parametrize(("kept", "parent"), [(True, "schedule"), (False, None)])
async def test_publishing_from_a_thread_keeps_the_trace(
    kept: bool, parent: str | None, spans: InMemorySpanExporter
) -> None:
    """A thread with the caller's context publishes into its trace; the control, without it, does not."""
    broker = MemoryBroker(lease_s=LEASE_S)
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def publish_one() -> None:
        publish_steadily(broker, loop, stop, events=1, rate_per_s=1000, hosts=1, seed=1)

    async with ThreadPool(1) as threads:
        with span("schedule"):
            await (threads.run(publish_one) if kept else loop.run_in_executor(None, publish_one))

    assert ("publish restart", SpanKind.PRODUCER, parent) in tree(spans)[0]
    (delivery,) = await broker.get(1)
    context = named(spans, "publish restart").context
    (header,) = delivery.message.headers.items()
    assert header[0] == "traceparent"
    assert header[1].startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")


async def test_message_without_headers_starts_a_trace(spans: InMemorySpanExporter) -> None:
    """A message without trace headers is processed under a root span."""
    async with staged(MemoryBroker(lease_s=LEASE_S)) as stage:
        await stage.handle(await stage.delivery())

    assert ("process restart", SpanKind.CONSUMER, None) in tree(spans)[0]


async def test_cancelled_span_does_not_look_like_success(spans: InMemorySpanExporter) -> None:
    """Cancelled work ends its spans as errors, and the nack is part of the trace."""
    started = asyncio.Event()

    async def restart() -> None:
        started.set()
        await forever()

    async with staged(MemoryBroker(lease_s=LEASE_S), restart) as stage:
        handling = asyncio.create_task(stage.handle(await stage.delivery()))
        await started.wait()
        handling.cancel()
        await asyncio.wait({handling})

    for name in ("restart host", "process restart"):
        ended = named(spans, name)
        assert (ended.status.status_code, ended.status.description) == (StatusCode.ERROR, "cancelled")
        assert (ended.attributes or {})["error.type"] == "CancelledError"
    assert named(spans, "nack").status.status_code is StatusCode.UNSET


async def test_failed_span_names_its_error_and_records_no_exception(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status has the error, without an exception event, and every attempt has its span."""
    monkeypatch.setattr(policy, "RETRY_S", 0.001)
    script = failing(*[HostUnavailableError("away")] * policy.MAX_ATTEMPTS)
    async with staged(MemoryBroker(lease_s=LEASE_S), script) as stage:
        await stage.handle(await stage.delivery())

    process = named(spans, "process restart")
    assert process.status.description == "HostUnavailableError: away"
    assert (process.attributes or {})["error.type"] == "HostUnavailableError"
    assert process.events == ()
    assert [s.name for s in spans.get_finished_spans()].count("restart host") == policy.MAX_ATTEMPTS
    parent = named(spans, "nack").parent
    assert parent is not None
    assert parent.span_id == process.context.span_id


async def test_dead_letter_is_part_of_the_trace(spans: InMemorySpanExporter) -> None:
    """Dead-lettering is a child span of the processing."""
    async with staged(MemoryBroker(lease_s=LEASE_S)) as stage:
        await stage.handle(await stage.delivery(b"not json"))

    assert tree(spans) == (
        {
            ("process restart", SpanKind.CONSUMER, None),
            ("dead-letter", SpanKind.CLIENT, "process restart"),
        },
        1,
    )
