"""The figures of a report as Prometheus text, for a push gateway or a node exporter's text files.

By Prometheus conventions: seconds and ratios, units in the names, one label set per line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from ..formats import ReportFormat
from ..report import Report

Labels = Mapping[str, str]
Samples = list[tuple[Labels, float | None]]
NONE: Labels = {}


def render(document: Report) -> str:
    """All figures as gauges, because the run is over; figures that were not measured are left out."""
    lines: list[str] = []
    for name, meaning, samples in _metrics(document):
        known = [(labels, value) for labels, value in samples if value is not None]
        if known:
            lines += (f"# HELP harness_{name} {meaning}", f"# TYPE harness_{name} gauge")
            lines += (f"harness_{name}{_braces(labels)} {value:.10g}" for labels, value in known)
    return "\n".join(lines) + "\n"


def _metrics(document: Report) -> Iterator[tuple[str, str, Samples]]:
    run, loop, cost = document.run, document.loop, document.overhead
    info = {name: str(getattr(run, name)) for name in ("id", "scenario", "outcome", "python", "commit")}
    yield "run_info", "The run, always 1.", [(info, 1)]
    yield "run_start_time_seconds", "Start of the run, Unix time.", [(NONE, _unix_s(run.started))]
    yield "run_duration_seconds", "Duration of the run.", [(NONE, run.duration_s)]
    yield "loop_turns", "Turns of the event loops.", [(NONE, loop.turns)]
    yield "loop_busy_ratio", "Share of the time that the loops spent in turns.", [(NONE, loop.busy_ratio)]
    lag = {"0.5": loop.lag_ms.p50, "0.99": loop.lag_ms.p99, "1": loop.lag_ms.max}
    yield "loop_lag_seconds", "Delay of work that becomes due at a random moment.", _quantiles(lag)
    yield from _blocks(document)
    yield from _load(document)
    by_name = document.spans.by_name
    spans: Samples = [({"span": span.name}, span.count) for span in by_name]
    yield "spans", "Spans recorded, by name.", spans
    took: Samples = [
        ({"span": span.name, **labels}, value)
        for span in by_name
        for labels, value in _quantiles({"0.5": span.p50_ms, "0.99": span.p99_ms})
    ]
    yield "span_seconds", "Duration of spans, by name.", took
    yield "spans_dropped", "Spans that did not reach the record.", [(NONE, document.spans.dropped)]
    if document.ledger is not None:
        for name in ("published", "acked", "nacked", "redelivered", "duplicated", "lost", "dead_lettered"):
            count = getattr(document.ledger, name)
            yield f"ledger_{name}", "Messages, by the ledger of the service.", [(NONE, count)]
    yield "sampler_hz", "Requested samples per second.", [(NONE, document.profile.sampler_hz)]
    yield "sampler_reached_hz", "Actual samples per second.", [(NONE, document.profile.reached_hz)]
    yield "overhead_cpu_ratio", "CPU time with the probe divided by that without.", [(NONE, cost.cpu_ratio)]
    yield "events_dropped", "Events that did not reach the record.", [(NONE, cost.events_dropped)]
    judged = document.expectations
    passed: Samples = [({"figure": one.name, "limit": one.limit}, int(one.passed)) for one in judged]
    yield "expectation_passed", "Whether an expectation was met.", passed


def _blocks(document: Report) -> Iterator[tuple[str, str, Samples]]:
    places = [
        ({"function": p.function, "file": p.file, "line": str(p.line), "cause": p.cause}, p)
        for p in document.blockers
    ]
    yield "blocks", "Blocks of the loop, by place and cause.", [(labels, p.count) for labels, p in places]
    held: Samples = [(labels, p.total_ms / 1000) for labels, p in places]
    yield "block_seconds", "Total time of the blocks.", held
    longest_ms = document.block_totals.max_held_ms
    longest_s = None if longest_ms is None else longest_ms / 1000
    yield "block_max_seconds", "The longest block.", [(NONE, longest_s)]


def _load(document: Report) -> Iterator[tuple[str, str, Samples]]:
    load = document.load
    if load is None:
        return
    for name in ("offered", "sent", "completed", "failed"):
        tagged = [({"tag": tag}, getattr(part, name)) for tag, part in load.tag.items() if name != "offered"]
        yield f"load_{name}", "Requests of the load driver.", [(NONE, getattr(load, name)), *tagged]
    latency = load.latency_ms
    quantiles = {"0.5": latency.p50, "0.9": latency.p90, "0.95": latency.p95, "0.99": latency.p99}
    quantiles |= {"0.999": latency.p999, "1": latency.max}
    yield "load_latency_seconds", "From the due time of a request to its answer.", _quantiles(quantiles)


def _quantiles(values_ms: Mapping[str, float | None]) -> Samples:
    return [({"quantile": q}, None if ms is None else ms / 1000) for q, ms in values_ms.items()]


def _unix_s(started: str) -> float | None:
    try:
        return datetime.fromisoformat(started).timestamp()
    except ValueError:
        return None


def _braces(labels: Labels) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}" if labels else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


FORMAT = ReportFormat("prometheus", extension="prom", render=render)
