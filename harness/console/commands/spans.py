"""`spans`: OpenTelemetry spans by name, those in flight, or the slowest that have finished."""

from __future__ import annotations

import math
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ...record.clock import monotonic_ns
from ...record.observation import SpanEnded
from ..protocol.command import Command, CommandClient
from ..protocol.result import CommandResult, Rows
from ..protocol.table import counted
from ..view.process import ProcessView

BY_NAME = ("span", "in_flight", "oldest_ms", "finished", "p50_ms", "p99_ms", "max_ms", "errors")
IN_FLIGHT = ("span", "age_ms", "kind", "trace_id", "span_id", "parent_id")
SLOWEST = ("span", "took_ms", "ago_s", "status", "kind", "thread", "trace_id", "span_id")


class SpansCommand(Command):
    name = "spans"
    summary = "requests in flight, and the slowest that finished"
    help_order = 80

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--in-flight", action="store_true", help="each span in flight, oldest first")
        which.add_argument("--slowest", action="store_true", help="each finished span, slowest first")

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        finished, in_flight = process.recent.spans(), process.recent.in_flight()
        if options.in_flight:
            rows = Rows(IN_FLIGHT, [_in_flight(span) for span in sorted(in_flight, key=age_ns, reverse=True)])
        elif options.slowest:
            slowest = sorted(finished, key=lambda span: span.start_ns - span.end_ns)
            rows = Rows(SLOWEST, [_finished(span) for span in slowest])
        else:
            rows = Rows(BY_NAME, _by_name(finished, in_flight))
        lines = [f"{counted(len(in_flight), 'span')} in flight, and the latest {len(finished)} that finished"]
        if not finished and not in_flight:
            lines = [
                "no spans: this program has none, or configured OpenTelemetry's SDK before the probe started"
            ]
        return CommandResult(
            lines=tuple(lines),
            rows=rows,
            data={"in_flight": len(in_flight), "finished": len(finished)},
            hint="trace ID: the spans, tasks and blocks of one trace",
        )


def _by_name(finished: Sequence[SpanEnded], in_flight: Sequence[Any]) -> Sequence[tuple[object, ...]]:
    took: dict[str, list[float]] = {}
    errors = Counter(span.name for span in finished if span.status == "error")
    for span in finished:
        took.setdefault(span.name, []).append((span.end_ns - span.start_ns) / 1e6)
    ages: dict[str, list[float]] = {}
    for span in in_flight:
        ages.setdefault(span.name, []).append(age_ns(span) / 1e6)
    rows = []
    for name in sorted(took.keys() | ages.keys()):
        times = sorted(took.get(name, ()))
        rows.append(
            (
                name,
                len(ages.get(name, ())),
                max(ages.get(name, ()), default=None),
                len(times),
                _quantile(times, 0.5),
                _quantile(times, 0.99),
                _quantile(times, 1),
                errors[name],
            )
        )
    return rows


def _quantile(times: list[float], q: float) -> float | None:
    """The smallest of the sorted *times* that at least the share *q* of them does not exceed."""
    return times[math.ceil(q * len(times)) - 1] if times else None


def age_ns(span: Any) -> int:
    """The age of a span in flight, whose start is a wall-clock time."""
    return max(0, time.time_ns() - int(span.start_time or 0))


def _in_flight(span: Any) -> tuple[Any, ...]:
    ids, parent = span.get_span_context(), span.parent
    return (
        span.name,
        age_ns(span) / 1e6,
        span.kind.name.lower(),
        f"{ids.trace_id:032x}",
        f"{ids.span_id:016x}",
        f"{parent.span_id:016x}" if parent is not None else None,
    )


def _finished(span: SpanEnded) -> tuple[object, ...]:
    return (
        span.name,
        (span.end_ns - span.start_ns) / 1e6,
        (monotonic_ns() - span.end_ns) / 1e9,
        span.status,
        span.kind,
        span.thread,
        span.trace_id,
        span.span_id,
    )
