"""Spans as OTLP in JSON, which a collector accepts at ``/v1/traces`` or reads as a line of a file.

Ids are hexadecimal, times are strings, enumerations are numbers: https://opentelemetry.io/docs/specs/otlp/. A
block of the loop is an event of the span that held it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping

from ...record.event import SpanEnded, WriterOpened
from ..blocks import detect as blocks_rule
from ..blocks.block import Block
from ..formats import RecordFormat
from ..history import History

KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
STATUSES = {"unset": 0, "ok": 1, "error": 2}


def render(history: History) -> str:
    """One request with all spans, in one line."""
    opened = history.of(WriterOpened)
    # The record has monotonic times, a collector expects wall clock times.
    offset_ns = opened[0].wall_ns - opened[0].at_ns if opened else 0
    blocks: dict[str, list[Block]] = defaultdict(list)
    for block in blocks_rule.blocks(history):
        blocks[block.span_id].append(block)
    start_ns = history.run.started_ns + offset_ns
    spans = [_span(span, blocks[span.span_id], offset_ns, start_ns) for span in history.of(SpanEnded)]
    run = history.run
    resource = {"service.name": run.scenario, "harness.run.id": run.id, "vcs.ref.head.revision": run.commit}
    scope = {"scope": {"name": "harness"}, "spans": spans}
    request = {"resourceSpans": [{"resource": _attributes(resource), "scopeSpans": [scope]}]}
    return json.dumps(request, separators=(",", ":")) + "\n"


def _span(span: SpanEnded, blocks: list[Block], offset_ns: int, start_ns: int) -> dict[str, object]:
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        **({"parentSpanId": span.parent_id} if span.parent_id else {}),
        "name": span.name,
        "kind": KINDS.get(span.kind, 0),
        "startTimeUnixNano": str(span.start_ns + offset_ns),
        "endTimeUnixNano": str(span.end_ns + offset_ns),
        **_attributes({**span.attributes, "thread.name": span.thread}),
        "events": [_event(block, start_ns) for block in blocks],
        "status": {"code": STATUSES.get(span.status, 0)},
    }


def _event(block: Block, start_ns: int) -> dict[str, object]:
    attributes: dict[str, str | int | float | bool] = {
        "harness.block.held_ms": block.held_ms,
        "harness.block.cause": block.cause,
        "code.function.name": block.function,
        "code.file.path": block.file,
        "code.line.number": block.line,
    }
    at_ns = start_ns + round(block.at_s * 1e9)
    return {"timeUnixNano": str(at_ns), "name": "loop.blocked", **_attributes(attributes)}


def _attributes(values: Mapping[str, str | int | float | bool]) -> dict[str, object]:
    return {"attributes": [{"key": key, "value": _value(value)} for key, value in values.items()]}


def _value(value: str | int | float | bool) -> dict[str, object]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
    return {"stringValue": value}


FORMAT = RecordFormat("otlp", extension="otlp.json", render=render)
