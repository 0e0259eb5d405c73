"""The report as a document: its shape, what stands in it beside blocks and load, and partial records."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from harness.errors import RecordError
from harness.read.formats import render
from harness.read.history import load
from harness.read.report import as_json, build
from harness.record import event
from harness.record.run_folder import RunFolder
from tests.read.conftest import Full, Look, Record


def keys(value: Iterable[str]) -> set[str]:
    return set(value)


def test_the_json_report_has_the_shape_that_scripts_rely_on(full: Full) -> None:
    """Every name that the documented schema promises is there, with the right kind of value."""
    report = json.loads(render(full().document(), "json"))

    assert report["schema"] == 1
    run = {"id", "scenario", "started", "duration_s", "outcome", "seed", "python", "commit", "target"}
    assert keys(report["run"]) >= run
    assert report["run"]["target"] == {
        "command": ["python", "-m", "shop"],
        "pid": 4242,
        "exit": 0,
        "ended_by_itself": False,
        "log": "",
        "last_lines": [],
    }
    assert keys(report["load"]) >= {"offered", "sent", "completed", "failed", "late_ms", "latency_ms"}
    assert keys(report["load"]["latency_ms"]) == {"p50", "p90", "p95", "p99", "p999", "max"}
    assert keys(report["loop"]) >= {"turns", "busy_ratio", "lag_ms", "tasks"}
    assert keys(report["loop"]["tasks"]) == {"started", "finished", "leaked", "destroyed_pending"}
    names = {"pid", "parent", "command", "watched", "why_not", "loops", "exit"}
    assert all(keys(process) >= names for process in report["processes"])
    assert any(process["watched"] for process in report["processes"])
    block = report["blocks"][0]
    assert keys(block) >= {
        *("at_s", "held_ms", "count", "cause", "function", "file", "line", "task", "coroutine", "span"),
        *(
            "trace_id",
            "span_id",
            "labels",
            "stack",
            "samples",
            "culprits",
            "victims",
            "victims_total",
            "fault",
        ),
    }
    assert block["stack"][-1] == {
        "file": "/usr/lib/python3.12/socket.py",
        "line": 706,
        "function": "SocketIO.readinto",
    }
    assert keys(block["victims"][0]) == {"task", "span", "trace_id", "delayed_ms", "at_most"}
    assert keys(report["spans"]) == {"recorded", "dropped", "orphans", "by_name"}
    name = {"name", "count", "p50_ms", "p99_ms", "run_ms", "ready_ms", "wait_ms"}
    assert all(keys(row) >= name for row in report["spans"]["by_name"])
    assert keys(report["ledger"]) >= {
        *("published", "acked", "nacked", "redelivered", "duplicated", "lost", "dead_lettered", "drain_s")
    }
    assert keys(report["faults"][0]) >= {"id", "kind", "at_s", "for_s", "injected", "undone"}
    assert keys(report["findings"][0]) == {
        *("rule", "level", "message", "file", "line", "invalid", "cost", "next", "explains")
    }
    assert keys(report["expectations"][0]) >= {"name", "limit", "value", "passed"}
    assert keys(report["profile"]) == {*("sampler_hz", "reached_hz", "samples", "lost", "artefacts", "looks")}
    assert keys(report["overhead"]) == {"cpu_ratio", "probe_cpu_s", "events_dropped", "unknown"}


def test_the_json_report_is_the_document(full: Full) -> None:
    """Nothing is added or lost on the way to the file, and rendering twice gives the same."""
    made = full()
    document = made.document()

    assert json.loads(render(document, "json")) == as_json(document)
    assert as_json(build(load(made.folder))) == as_json(document)


def test_the_overhead_is_what_the_probe_measured(full: Full) -> None:
    """CPU time with the probe as a multiple of that without: threads, turns, and what is beside both."""
    probe_s = 0.04 + 0.03 + 4205 * 310e-9

    cost = full().document().overhead
    assert cost.probe_cpu_s == pytest.approx(probe_s, abs=1e-6)
    assert cost.cpu_ratio == pytest.approx(2.6 / (2.6 - probe_s), abs=1e-4)


def test_faults_show_what_they_did_and_whether_they_were_rolled_back(record: Record) -> None:
    """Rolled back, never rolled back, idle and failed are told apart."""
    made = record()
    made.loop(turns_ms=[1])
    for fault_id in ("good", "stays", "idle"):
        made.write("runner", event.FaultInjected(made.at(1), fault_id, "call.fail", "x"))
    made.write("runner", event.FaultUndone(made.at(3.5), "good", 4), event.FaultUndone(made.at(2), "idle", 0))
    made.write("target", event.FaultFired(made.at(1.5), "stays"))
    made.write("runner", event.FaultFailed(made.at(1), "broken", "nothing of that name"))
    made.ended()

    document = made.document()
    assert [(f.id, f.at_s, f.for_s, f.injected, f.undone, f.fired) for f in document.faults] == [
        ("good", 1.0, 2.5, True, True, 4),
        ("stays", 1.0, None, True, False, 1),
        ("idle", 1.0, 1.0, True, True, 0),
        ("broken", None, None, False, False, 0),
    ]


def test_spans_are_counted_by_name_and_orphans_found(record: Record) -> None:
    """A parent that is not in the record makes an orphan; a root does not."""
    made = record()
    for n, (name, parent, took) in enumerate(
        [("get", "", 0.2), ("get", "", 0.4), ("sql", "0", 0.1), ("sql", "9", 0.1)]
    ):
        span = event.SpanEnded(
            name,
            "internal",
            f"{n // 3:032x}",
            str(n),
            parent,
            made.at(n),
            made.at(n + took),
            "ok",
            "MainThread",
        )
        made.write("target", span)
    made.ended()

    spans = made.document().spans
    assert (spans.recorded, spans.orphans) == (4, 1)
    assert [(row.name, row.count, row.p50_ms, row.p99_ms) for row in spans.by_name] == [
        ("get", 2, 200.0, 400.0),
        ("sql", 2, 100.0, 100.0),
    ]


def test_a_ring_of_parents_still_gives_a_waterfall(record: Record) -> None:
    """Ids come from the target and may be nonsense."""
    made = record()
    for own, parent in (("a", "b"), ("b", "a")):
        made.write(
            "target",
            event.SpanEnded("x", "internal", "t", own, parent, made.at(1), made.at(2), "ok", "MainThread"),
        )
    made.ended()

    (trace,) = made.document().traces
    assert [(span.name, span.took_ms) for span in trace.spans] == [("x", 1000.0)] * 2


def test_the_trace_that_held_the_loop_comes_first(record: Record, look: Look) -> None:
    """However many waited longer: there its own stack can be seen on it."""
    made = record()
    made.loop()
    holder = "0af7651916cd43dd8448eb211c80319c"  # as `look` has it
    waiters = [f"{n:032x}" for n in range(1, 9)]
    for n, trace_id in enumerate([holder, *waiters]):
        span = event.SpanEnded(
            *("checkout", "server", trace_id, f"{n:016x}", "", made.at(1), made.at(2 + n / 10), "ok", "Main"),
        )
        made.write("target", span)
    victims = tuple(
        event.DelayedStep(f"t{n}", "checkout", trace_id, 10**8) for n, trace_id in enumerate(waiters)
    )
    made.blocked(1.2, 300, [look("cart.py:41 total")], victims=victims)
    made.ended()

    assert [trace.trace_id for trace in made.document().traces] == [holder, *reversed(waiters[-5:])]


def test_traces_that_a_block_hurt_are_shown_before_slower_ones(full: Full) -> None:
    """Half of the places go to them, the rest to the slowest."""
    traces = full().document().traces

    assert [trace.blocked for trace in traces[:3]] == [True] * 3
    assert {span.name for span in traces[0].spans} >= {
        "publish restart",
        "process restart",
        "save",
        "extend",
        "ack",
    }
    assert [span.depth for span in traces[0].spans] == [0, 1, 2, 2, 2, 2]


def test_a_record_whose_writers_were_killed_is_read_to_its_last_whole_line(full: Full) -> None:
    """No last lines, a torn one, a damaged one: all else is there, and what is missing is said."""
    made = full(end=False)
    for writer in made._writers.values():
        assert writer.flush()
    written = next(made.folder.events.glob("target-*"))
    first = f"line {len(written.read_text().splitlines()) + 1}: Blocked: expected int, got 'soon'"
    with written.open("a") as file:
        file.write('{"e":"Blocked","at_ns":"soon"}\nnot json\n{"e":"SpanEnd')

    document = build(load(made.folder))
    assert document.load is not None
    assert (len(document.blocks), document.load.sent, document.run.partial) == (5, 1200, True)
    messages = [found.message for found in document.findings if found.rule == "record"]
    pid, missing = os.getpid(), "its last line is missing, and with it up to 100 ms of events"
    assert {message for message in messages if "was cut off" in message} == {
        f"the runner (process {pid}) was cut off: {missing}",
        f"the driver (process {pid}) was cut off: {missing}",
        f"the target (process {pid}) was cut off: {missing}, "
        "what the probe cost, and profiles that are written at the end",
    }
    (path,) = made.folder.events.glob(f"target-{pid}-*")
    assert f"the record is damaged: events/{path.name} has 2 damaged lines ({first})" in messages


def test_a_run_that_has_only_begun_is_a_report(record: Record) -> None:
    """The first line of the runner and nothing else: null, not an error."""
    made = record()
    made.write("runner", event.TargetStarted(made.at(0), 1, ("shop",)))
    document = made.document()

    assert (document.load, document.blocks, document.ledger) == (None, (), None)
    assert (document.loop.lag_ms.max, document.loop.turns, document.block_totals.count) == (None, None, None)


def test_an_empty_record_is_refused(record: Record) -> None:
    """It is the record that is empty, not the program that ran no loop."""
    with pytest.raises(RecordError, match=r"events: the record is empty: expected one file per process"):
        load(record().folder)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    """The message names the folder and what is missing."""
    with pytest.raises(RecordError, match=r"no record of a run here \(run.json is missing\)"):
        load(RunFolder(tmp_path))


def test_a_block_has_the_spans_around_its_own(record: Record, look: Look) -> None:
    """The outermost first, as far as they have ended; a ring of parents ends."""
    made = record()
    made.loop()
    made.blocked(4.0, 300, [look("cart.py:41 Cart.total", span="price")])
    made.blocked(5.0, 300, [look("cart.py:42 Cart.check", span="")])
    spans = (
        ("price", "b7ad6b7169203331", "b2"),
        ("checkout", "b2", "b1"),
        ("request", "b1", "b7ad6b7169203331"),
    )
    for name, span_id, parent_id in spans:
        times = made.at(3), made.at(6)
        made.write("target", event.SpanEnded(name, "internal", "t", span_id, parent_id, *times, "ok", "m"))

    assert [block.span_path for block in made.document().blocks] == [("request", "checkout", "price"), ()]


def test_a_profiler_that_is_not_installed_is_named(record: Record) -> None:
    """The target's environment has no pyinstrument; any other failure of the probe is quoted."""
    made = record()
    made.loop(turns_ms=[1])
    missing = "ModuleNotFoundError: No module named 'pyinstrument'"
    made.write("target", event.ProbeFailed(made.at(1), "profile", missing))
    made.write("target", event.ProbeFailed(made.at(1), "profile", "RuntimeError: no"))
    made.ended()

    assert [found.message for found in made.document().findings] == [
        "pyinstrument is not installed in the program's environment; no profile was taken",
        "the probe failed in profile, and that part may be missing: RuntimeError: no",
    ]
