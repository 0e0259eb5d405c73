"""A record in the formats of other tools, each checked against the format itself."""

from __future__ import annotations

import base64
import gzip
import json
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import jsonschema_rs
import pytest
from click.testing import CliRunner

from harness.commands.report import report
from harness.read.formats import export, names, render
from harness.read.history import History, load
from harness.record import event
from tests.read.conftest import Full, Look, Record

HOSTILE = "a;b\"'\\\n<c>\x1b"


Sampling = Callable[..., History]
Track = tuple[int, int]  # process and thread


@pytest.fixture
def sampled(full: Full) -> Sampling:
    """The run of a whole service, with the sampler in it."""

    def make(name: str = "sampled", hostile: str = "") -> History:
        made = full(name, hostile=hostile)
        frames = tuple(
            event.Frame(file, line, function + hostile)
            for file, line, function in [
                ("/usr/lib/python3.12/asyncio/events.py", 88, "Handle._run"),
                ("/srv/shop/service.py", 31, "Handler.handle"),
                ("/srv/shop/hosts.py", 41, "Host.restart"),
                ("/srv/shop/hosts.py", 50, "Host.check"),
            ]
        )
        made.write("target", event.FrameTable(made.at(2), 4242, 1, (0, 1, 2, 2), frames))
        for number, (stack, count, way, span) in enumerate(
            [(3, 60, "signal", "restart host"), (4, 30, "signal", ""), (2, 10, "executor", "restart host")]
        ):
            made.write(
                "target",
                event.Sampled(
                    at_ns=made.at(2 + number),
                    pid=4242,
                    thread="MainThread" if way == "signal" else "worker-0",
                    way=way,
                    hz=100,
                    stack=stack,
                    count=count,
                    task="restart-1",
                    coroutine="Handler.handle",
                    span=span + hostile if span else "",
                    trace_id="0af7651916cd43dd8448eb211c80319c" if span else "",
                    span_id="b7ad6b7169203331" if span else "",
                ),
            )
        made.write("target", event.SamplesCounted(made.at(4), 4242, 100, 80, 90, 10, 1_000_000))
        made.close()
        return load(made.folder)

    return make


def exported(history: History, name: str) -> str:
    """A record in a format that is text."""
    text = export(history, name)
    assert isinstance(text, str)
    return text


# --- samples ------------------------------------------------------------------------------------------


def test_collapsed_stacks_are_lines_of_frames_and_a_count(sampled: Sampling) -> None:
    """Thread, span, and the program's frames outermost first; nothing of the loop's own."""
    assert exported(sampled(), "collapsed").splitlines() == [
        "MainThread;span restart host;Handler.handle (/srv/shop/service.py:31);"
        "Host.restart (/srv/shop/hosts.py:41) 60",
        "MainThread;no span;Handler.handle (/srv/shop/service.py:31);Host.check (/srv/shop/hosts.py:50) 30",
        "worker-0;span restart host;Handler.handle (/srv/shop/service.py:31) 10",
    ]


def test_names_cannot_break_a_collapsed_line(sampled: Sampling) -> None:
    """Neither a semicolon nor the end of a line in a name."""
    lines = exported(sampled(hostile=HOSTILE), "collapsed").split("\n")[:-1]

    assert len(lines) == 3
    assert [len(line.split(";")) for line in lines] == [5, 5, 4]
    assert [int(line.rpartition(" ")[2]) for line in lines] == [60, 30, 10]


# What https://www.speedscope.app asks of a file with sampled profiles.
WHOLE = {"type": "integer", "minimum": 0}
SPEEDSCOPE = {
    "type": "object",
    "required": ["$schema", "shared", "profiles"],
    "properties": {
        "$schema": {"const": "https://www.speedscope.app/file-format-schema.json"},
        "name": {"type": "string"},
        "exporter": {"type": "string"},
        "activeProfileIndex": WHOLE,
        "shared": {
            "type": "object",
            "required": ["frames"],
            "properties": {
                "frames": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string"},
                            "file": {"type": "string"},
                            "line": {"type": "number"},
                            "col": {"type": "number"},
                        },
                    },
                }
            },
        },
        "profiles": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["type", "name", "unit", "startValue", "endValue", "samples", "weights"],
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "sampled"},
                    "name": {"type": "string"},
                    "unit": {
                        "enum": ["none", "nanoseconds", "microseconds", "milliseconds", "seconds", "bytes"]
                    },
                    "startValue": {"type": "number"},
                    "endValue": {"type": "number"},
                    "samples": {"type": "array", "items": {"type": "array", "items": WHOLE}},
                    "weights": {"type": "array", "items": {"type": "number"}},
                },
            },
        },
    },
}


def test_speedscope_takes_its_file(sampled: Sampling) -> None:
    """By its format: each sample a stack of frames that exist, its weight beside it, in nanoseconds."""
    found = json.loads(export(sampled(), "speedscope"))

    jsonschema_rs.validate(SPEEDSCOPE, found)
    assert [profile["name"] for profile in found["profiles"]] == [
        "MainThread of process 4242",
        "worker-0 of process 4242, biased",
    ]
    first, frames = found["profiles"][0], found["shared"]["frames"]
    assert first["weights"] == [600_000_000, 300_000_000]
    assert first["endValue"] == sum(first["weights"])
    assert [frames[index]["name"] for index in first["samples"][0]] == [
        "span restart host",
        "Handler.handle",
        "Host.restart",
    ]
    for profile in found["profiles"]:
        assert len(profile["samples"]) == len(profile["weights"])
        assert all(index < len(frames) for stack in profile["samples"] for index in stack)


def test_without_a_sampler_there_are_samples_of_late_turns(full: Full) -> None:
    """A run that was not sampled still shows what blocked, and says that it is no more than that."""
    made = full()
    made.close()
    found = json.loads(export(load(made.folder), "speedscope"))

    jsonschema_rs.validate(SPEEDSCOPE, found)
    assert [profile["name"] for profile in found["profiles"]] == [
        "MainThread of process 4242, late turns only"
    ]


# A field's number, name, type, whether it is repeated, and of which message.
PPROF = {
    "Profile": [
        (1, "sample_type", "m", True, "ValueType"),
        (2, "sample", "m", True, "Sample"),
        (3, "mapping", "m", True, "Mapping"),
        (4, "location", "m", True, "Location"),
        (5, "function", "m", True, "Function"),
        (6, "string_table", "s", True, ""),
        (9, "time_nanos", "i", False, ""),
        (10, "duration_nanos", "i", False, ""),
        (11, "period_type", "m", False, "ValueType"),
        (12, "period", "i", False, ""),
    ],
    "ValueType": [(1, "type", "i", False, ""), (2, "unit", "i", False, "")],
    "Sample": [
        (1, "location_id", "u", True, ""),
        (2, "value", "i", True, ""),
        (3, "label", "m", True, "Label"),
    ],
    "Label": [(1, "key", "i", False, ""), (2, "str", "i", False, ""), (3, "num", "i", False, "")],
    "Mapping": [(1, "id", "u", False, "")],
    "Location": [(1, "id", "u", False, ""), (4, "line", "m", True, "Line")],
    "Line": [(1, "function_id", "u", False, ""), (2, "line", "i", False, "")],
    "Function": [
        (1, "id", "u", False, ""),
        (2, "name", "i", False, ""),
        (3, "system_name", "i", False, ""),
        (4, "filename", "i", False, ""),
    ],
}


def pprof(data: str | bytes) -> Any:
    """The profile, decoded by Google's library with the schema of the format."""
    protobuf = pytest.importorskip("google.protobuf", reason="protobuf is not installed")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    assert protobuf
    assert isinstance(data, bytes)
    kinds = {"m": 11, "s": 9, "i": 3, "u": 4}
    file = descriptor_pb2.FileDescriptorProto(name="profile.proto", package="pprof", syntax="proto3")
    for message, fields in PPROF.items():
        described = file.message_type.add(name=message)
        for number, name, kind, repeated, of in fields:
            described.field.add(
                number=number,
                name=name,
                type=kinds[kind],
                label=3 if repeated else 1,
                type_name=f".pprof.{of}" if of else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = message_factory.GetMessageClass(pool.FindMessageTypeByName("pprof.Profile"))()
    found.ParseFromString(gzip.decompress(data))
    return found


def test_pprof_decodes_by_its_schema(sampled: Sampling) -> None:
    """Stacks innermost first, ticks and nanoseconds, and the span as a label; every reference is kept."""
    found = pprof(export(sampled(), "pprof"))
    text = list(found.string_table)
    functions = {function.id: text[function.name] for function in found.function}
    lines = {loc.id: (functions[loc.line[0].function_id], loc.line[0].line) for loc in found.location}
    first = found.sample[0]
    labels = {text[label.key]: text[label.str] or label.num for label in first.label}

    assert text[0] == ""
    assert [(text[kind.type], text[kind.unit]) for kind in found.sample_type] == [
        ("samples", "count"),
        ("wall", "nanoseconds"),
    ]
    assert [lines[number] for number in first.location_id] == [("Host.restart", 41), ("Handler.handle", 31)]
    assert list(first.value) == [60, 600_000_000]
    assert labels == {
        "thread": "MainThread",
        "way": "signal",
        "task": "restart-1",
        "coroutine": "Handler.handle",
        "span": "restart host",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
        "pid": 4242,
    }
    assert found.period == 10_000_000


# --- the timeline -------------------------------------------------------------------------------------


def check_chrome(
    trace: dict[str, Any],
) -> tuple[dict[Track, list[tuple[int, int]]], dict[str, list[dict[str, Any]]]]:
    """What viewers of the format expect, of which they drop in silence what does not fit."""
    by_track: dict[Track, list[tuple[int, int]]] = defaultdict(list)
    flows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in trace["traceEvents"]:
        assert item["ph"] in "XMCsf", item
        if item["ph"] == "X":
            assert item["dur"] >= 0
            # Viewers count whole nanoseconds, too.
            start, end = round(item["ts"] * 1000), round((item["ts"] + item["dur"]) * 1000)
            by_track[item["pid"], item["tid"]].append((start, end))
        elif item["ph"] in "sf":
            flows[item["id"]].append(item)
    for slices in by_track.values():
        open_ends: list[int] = []
        for start, end in sorted(slices, key=lambda item: (item[0], -item[1])):
            while open_ends and open_ends[-1] <= start:
                open_ends.pop()
            assert not open_ends or end <= open_ends[-1], "slices overlap"
            open_ends.append(end)
    for ends in flows.values():
        assert [end["ph"] for end in ends] == ["s", "f"]
        assert ends[0]["ts"] <= ends[1]["ts"]
        for end in ends:
            on_track = by_track[end["pid"], end["tid"]]
            assert any(start <= round(end["ts"] * 1000) <= stop for start, stop in on_track)
    return by_track, flows


def test_the_timeline_keeps_every_slice(full: Full) -> None:
    """All spans, blocks and faults are on it, strictly nested on their tracks; arrows have both ends."""
    made = full()
    made.close()
    history = load(made.folder)
    trace = json.loads(export(history, "perfetto"))
    _, flows = check_chrome(trace)

    kinds = Counter(item["cat"] for item in trace["traceEvents"] if item["ph"] == "X")
    assert kinds["fault"] == 1
    assert kinds["block"] == len(history.of(event.Blocked))
    assert kinds.total() - kinds["fault"] - kinds["block"] == len(history.of(event.SpanEnded))
    assert flows


def test_spans_that_overlap_on_a_task_get_a_track_of_their_own(record: Record) -> None:
    """Two that neither contain each other nor follow each other; a child in another task has an arrow."""
    made = record()

    def span(name: str, span_id: str, task: str, start_s: float, end_s: float, parent: str = "") -> None:
        ended = event.SpanEnded(
            *(name, "internal", "1" * 32, span_id, parent, made.at(start_s), made.at(end_s), "ok"),
            thread="MainThread",
            pid=7,
            task=task,
        )
        made.write("target", ended)

    span("outer", "a" * 16, "Task-1", 1, 4)
    span("crossing", "b" * 16, "Task-1", 3, 6)
    span("inner", "c" * 16, "Task-1", 2, 2.5, parent="a" * 16)
    span("child", "d" * 16, "Task-2", 2, 3, parent="a" * 16)
    made.ended()
    made.close()
    trace = json.loads(export(load(made.folder), "perfetto"))
    _, flows = check_chrome(trace)

    names = {
        (item["pid"], item["tid"]): item["args"]["name"]
        for item in trace["traceEvents"]
        if item["name"] == "thread_name"
    }
    placed = {
        item["name"]: names[item["pid"], item["tid"]] for item in trace["traceEvents"] if item["ph"] == "X"
    }
    assert placed == {"outer": "Task-1", "inner": "Task-1", "crossing": "Task-1 (2)", "child": "Task-2"}
    assert len(flows) == 1


# --- spans and figures --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Collector:
    """Where it listens, and the requests that it took."""

    server_port: int
    taken: list[Any]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """An OTLP receiver: takes JSON over HTTP, and reads it strictly into OpenTelemetry's own messages."""
    pytest.importorskip("opentelemetry.proto", reason="opentelemetry-proto is not installed")
    from google.protobuf import json_format
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    taken: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            # The one thing in which OTLP's JSON is not that of protocol buffers.
            body = re.sub(
                r'"(traceId|spanId|parentSpanId)":"([0-9a-f]+)"',
                lambda m: f'"{m[1]}":"{base64.urlsafe_b64encode(bytes.fromhex(m[2])).decode()}"',
                body,
            )
            try:
                taken.append(json_format.Parse(body, ExportTraceServiceRequest()))
                status = 200
            except json_format.ParseError:
                status = 400
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield Collector(server.server_port, taken)
        server.shutdown()
        serving.join()


def test_a_collector_takes_the_spans(full: Full, collector: Collector) -> None:
    """All of them, with ids of the right length, wall-clock times, and blocks as events of their spans."""
    made = full()
    made.close()
    history = load(made.folder)
    url = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    body = exported(history, "otlp").encode()
    answer = urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=10)

    spans = collector.taken[0].resource_spans[0].scope_spans[0].spans
    opened = history.of(event.WriterOpened)[0]
    assert answer.status == 200
    assert len(spans) == len(history.of(event.SpanEnded))
    assert {(len(span.trace_id), len(span.span_id)) for span in spans} == {(16, 8)}
    assert {len(span.parent_span_id) for span in spans} == {0, 8}
    assert abs(spans[0].start_time_unix_nano - opened.wall_ns) < 3600e9
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans)
    assert {span.kind for span in spans} == {1, 3, 4, 5}


def test_a_block_is_an_event_of_its_span(record: Record, look: Look, collector: Collector) -> None:
    """With the line that held the loop."""
    made = record()
    made.loop(turns_ms=[300])
    span_ended = event.SpanEnded(
        *("checkout", "server", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", ""),
        *(made.at(1), made.at(3), "error", "MainThread"),
    )
    made.write("target", span_ended)
    made.blocked(2, 300, [look("cart.py:41 total")])
    made.ended()
    made.close()
    url = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    urlopen(Request(url, exported(load(made.folder), "otlp").encode()), timeout=10)

    (span,) = collector.taken[0].resource_spans[0].scope_spans[0].spans
    (blocked,) = span.events
    attributes = {pair.key: pair.value for pair in blocked.attributes}
    assert (span.status.code, blocked.name) == (2, "loop.blocked")
    assert attributes["code.function.name"].string_value == "total"
    assert attributes["code.line.number"].int_value == 41
    assert span.start_time_unix_nano < blocked.time_unix_nano < span.end_time_unix_nano


def test_prometheus_reads_the_figures(full: Full) -> None:
    """By its own parser: every figure once for each set of labels, in seconds, with hostile names escaped."""
    parser = pytest.importorskip("prometheus_client.parser", reason="prometheus-client is not installed")
    document = full(hostile=HOSTILE).document()
    families = list(parser.text_string_to_metric_families(render(document, "prometheus")))
    samples = [(s.name, tuple(sorted(s.labels.items())), s.value) for f in families for s in f.samples]
    values = {name: value for name, labels, value in samples if not labels}

    assert len({(name, labels) for name, labels, _ in samples}) == len(samples)
    assert values["harness_loop_turns"] == document.loop.turns
    assert values["harness_ledger_acked"] == 1196
    assert any(dict(labels).get("span") == f"process restart{HOSTILE}" for _, labels, _ in samples)
    latency = [
        v for n, labels, v in samples if n == "harness_load_latency_seconds" and ("quantile", "1") in labels
    ]
    assert document.load is not None
    assert document.load.latency_ms.max is not None
    assert latency == [pytest.approx(document.load.latency_ms.max / 1000)]


# --- the command --------------------------------------------------------------------------------------


def test_the_report_command_writes_every_format(sampled: Sampling, tmp_path: Path) -> None:
    """To a file, byte for byte what it prints."""
    history = sampled()
    for name in names():
        path = tmp_path / f"out.{name}"
        done = CliRunner().invoke(
            report,
            [str(tmp_path / "sampled"), "--format", name, "--output", str(path)],
            standalone_mode=False,
        )
        printed = CliRunner().invoke(
            report, [str(tmp_path / "sampled"), "--format", name], standalone_mode=False
        )

        assert done.exception is None, done.exception
        assert path.stat().st_size > 0
        assert printed.stdout_bytes == path.read_bytes()
    assert history.of(event.Sampled)


def test_the_report_has_what_the_sampler_reached(sampled: Sampling, tmp_path: Path) -> None:
    """The rate that was asked for, the one that was reached, and what was lost."""
    sampled()
    printed = CliRunner().invoke(report, [str(tmp_path / "sampled"), "--json"], standalone_mode=False)

    profile = json.loads(printed.stdout)["profile"]
    reached = {"sampler_hz": 100, "reached_hz": 80.0, "samples": 80, "lost": 10}
    assert profile == {**reached, "looks": [], "artefacts": []}
