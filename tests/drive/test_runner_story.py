"""One run with faults and profilers, looked at from all sides; and the same run without them."""

from __future__ import annotations

import inspect
import json
import re
from collections import defaultdict
from pathlib import Path

import pytest

from harness.mayhem.hosts.simulated import SimulatedHost
from harness.record.event import ArtefactWritten, Sent, SpanEnded
from tests.support.commanded import Ended, harness, scenario
from tests.support.recorded import events_in, recorded

pytestmark = pytest.mark.slow

# 300 ms are longer than a third of the lease, so messages in hand are extended because of the block.
STORY = """
    seed = 7
    [target]
    kind = "mayhem"
    settings = { hosts = 12, lease_s = 0.75 }
    [load]
    sender = "sqlite"
    rate_per_s = 60
    duration_s = 3
    max_late_ms = 2000
    [[faults]]
    id = "stuck"
    kind = "block.sleep"
    in = "harness.mayhem.hosts.simulated:SimulatedHost.restart"
    block_ms = 300
    probability = 0.2
    limit = 3
    at_s = 0.5
    [[faults]]
    id = "bad-host"
    kind = "call.fail"
    in = "harness.mayhem.hosts.simulated:SimulatedHost.restart"
    raises = "harness.mayhem.errors:HostUnavailableError"
    probability = 0.1
    [profile]
    pyinstrument = "restart host"
    py_spy_s = 2
    [probe]
    block_ms = 150
    [expect]
    "blocks.count" = ">= 1"
    "ledger.lost" = "== 0"
"""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The run, told as JSON."""
    folder = tmp_path_factory.mktemp("story")
    return harness("run", scenario(folder, STORY), "--json", cwd=folder)


@pytest.fixture(scope="module")
def spans_by_trace(story: Ended) -> dict[str, list[SpanEnded]]:
    traces = defaultdict(list)
    for event in events_in(story.folder.events):
        if isinstance(event, SpanEnded):
            traces[event.trace_id].append(event)
    return traces


def test_a_run_that_meets_its_expectations_ends_with_0(story: Ended) -> None:
    """Exit status, outcome and reports of a run where all is well but for what was asked for."""
    assert (story.status, story.report["run"]["outcome"]) == (0, "passed")
    assert (story.folder.path / "report.html").read_text().startswith("<!doctype html>")


def test_json_alone_goes_to_stdout(story: Ended) -> None:
    """With --json, what is printed is report.json, and progress goes to stderr."""
    assert json.loads(story.stdout) == story.report
    assert re.match(r"scenario 0\.\d s  starting  ", story.stderr)


def test_the_line_that_blocks_is_named(story: Ended) -> None:
    """The injected block's file, line, function and span, and those that it made wait."""
    blocks = [block for block in story.report["blocks"] if block["fault"] == "stuck"]
    lines, first = inspect.getsourcelines(SimulatedHost.restart)

    assert blocks
    worst = max(blocks, key=lambda block: block["held_ms"])
    assert worst["function"] == "SimulatedHost.restart"
    assert Path(worst["file"]) == Path(inspect.getfile(SimulatedHost))
    assert first <= worst["line"] < first + len(lines)
    assert worst["span"] == "restart host"
    assert worst["held_ms"] >= 300
    assert sum(block["victims_total"] for block in blocks) > 0


def test_faults_fire_and_are_undone(story: Ended) -> None:
    """Both faults took effect within their limits, and were rolled back."""
    faults = {fault["id"]: fault for fault in story.report["faults"]}

    assert {name: (fault["injected"], fault["undone"]) for name, fault in faults.items()} == {
        "stuck": (True, True),
        "bad-host": (True, True),
    }
    assert 1 <= faults["stuck"]["fired"] <= 3
    assert faults["bad-host"]["fired"] >= 1


def test_nothing_is_lost_although_calls_failed(story: Ended) -> None:
    """Every message that was published was acked, and saved."""
    ledger, load = story.report["ledger"], story.report["load"]

    assert ledger["acked"] == ledger["published"] == load["completed"] == load["offered"] > 100
    assert (ledger["lost"], ledger["acked_unsaved"], load["failed"]) == (0, 0, 0)
    assert ledger["drain_s"] is not None


def test_a_message_is_one_trace(story: Ended, spans_by_trace: dict[str, list[SpanEnded]]) -> None:
    """From its publishing to its ack, in the driver and in the service, every span finds its parent."""
    sent = recorded(story.folder.events, Sent)
    whole = {"publish restart", "process restart", "restart host", "check health", "save", "ack"}

    assert sent
    for request in sent:
        spans = spans_by_trace[request.trace_id]
        ids = {span.span_id for span in spans}
        assert whole <= {span.name for span in spans}
        assert [span.name for span in spans if span.parent_id not in ids] == ["publish restart"]


def test_the_lease_is_extended_in_the_trace_of_its_message(
    spans_by_trace: dict[str, list[SpanEnded]],
) -> None:
    """Who waited for the block longer than a third of the lease asked for more time, as a child."""
    extended = [(span, spans) for spans in spans_by_trace.values() for span in spans if span.name == "extend"]

    assert extended
    for span, spans in extended:
        assert span.parent_id in {other.span_id for other in spans if other.name == "process restart"}


def test_a_span_of_another_thread_stays_in_its_trace(spans_by_trace: dict[str, list[SpanEnded]]) -> None:
    """An SDK's health check runs in a thread of its own pool, as a child of the restart; others need none."""
    checks = [
        (span, next(other for other in spans if other.span_id == span.parent_id))
        for spans in spans_by_trace.values()
        for span in spans
        if span.name == "check health"
    ]

    assert checks
    assert {parent.name for _, parent in checks} == {"restart host"}
    assert {span.thread == parent.thread for span, parent in checks} == {True, False}


def artefact(story: Ended, tool: str) -> ArtefactWritten:
    return next(event for event in recorded(story.folder.events, ArtefactWritten) if event.tool == tool)


def test_pyinstrument_names_a_function_of_the_target(story: Ended) -> None:
    """The profile of one span lies in the run's folder."""
    written = artefact(story, "pyinstrument")

    assert "restart" in (story.folder.path / written.path).read_text()
    assert written.path in [made["path"] for made in story.report["profile"]["artefacts"]]


def test_py_spy_names_a_function_of_the_target(story: Ended) -> None:
    """The recording from outside has stacks that lead into the service."""
    written = artefact(story, "py-spy")
    if not written.path and "permission" in written.note.lower():
        pytest.skip(f"ptrace is not permitted here: {written.note}")

    recording = (story.folder.path / written.path).read_text()
    assert re.search(r"serve \(\S*harness/mayhem", recording), written.note


@pytest.mark.long
def test_without_the_fault_there_is_no_block_and_the_expectation_of_one_fails(tmp_path: Path) -> None:
    """The negative control of all the above; exit status 1, and the summary says what was missed."""
    ended = harness(
        "run", scenario(tmp_path, STORY), "--set", "faults=[]", "--set", "profile={}", cwd=tmp_path
    )

    # A crowded machine may leave the process without a processor for that long; that is no line's fault.
    blocks = [block for block in ended.report["blocks"] if block["cause"] != "descheduled"]
    assert blocks == []
    assert ended.report["faults"] == []
    if not ended.report["blocks"]:
        assert ended.status == 1
        assert "✗  blocks.count >= 1: 0" in ended.stdout
        assert "✓  ledger.lost == 0: 0" in ended.stdout
