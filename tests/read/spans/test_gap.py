"""A trace that lay in a queue while the loop was blocked was delayed by the block."""

from __future__ import annotations

import pytest

from harness.read.formats import render
from harness.read.history import load
from harness.read.report import Report, build
from harness.read.spans.gap import TraceGaps
from harness.read.spans.segment import Gap, Part, Segment
from harness.record import event
from tests.read.conftest import LOOP_PID, Look, Record, Recording


def traced(made: Recording, trace: str, *spans: tuple[float, float, int, str]) -> None:
    """A trace: when each span began and ended, and the process and thread it was in."""
    for n, (from_s, to_s, pid, thread) in enumerate(spans):
        span = event.SpanEnded(
            *(f"span {n}", "internal", trace * 32, f"{trace * 8}{n:08x}", "", made.at(from_s), made.at(to_s)),
            *("ok", thread, {}, pid),
        )
        made.write("target", span)


MAIN, DRIVER = (LOOP_PID, "MainThread"), (7, "driver")


@pytest.fixture
def run(record: Record, look: Look) -> Recording:
    """A block from 4.0 to 4.3 s, and traces around it."""
    made = record()
    made.loop()
    made.blocked(4.0, 300, [look("hosts.py:46 Host.restart", span="")])
    traced(made, "a", (3.9, 3.91, *DRIVER), (4.31, 4.4, *MAIN))  # published before, taken after
    traced(made, "b", (3.9, 3.91, *DRIVER), (3.95, 4.4, *MAIN))  # its span lasts, and may await anything
    traced(made, "c", (4.5, 4.51, *DRIVER), (4.6, 4.7, *MAIN))  # after it
    traced(made, "d", (3.9, 3.91, *DRIVER), (4.31, 4.4, LOOP_PID, "worker-0"))  # of a thread only
    traced(made, "e", (3.9, 4.45, *DRIVER), (4.32, 4.4, *MAIN))  # a client that waits all the time
    traced(made, "f", (3.9, 3.91, *DRIVER), (4.31, 4.4, 8, "MainThread"))  # another process took it
    made.ended()
    return made


def test_a_trace_whose_gap_lies_under_a_block_is_hurt(run: Recording) -> None:
    """Whether a span of another process covers it or not; a span of the loop explains the time itself."""
    document = run.document()

    assert {trace.trace_id[0]: trace.blocked for trace in document.traces} == {
        "a": True,
        "e": True,
        "b": False,
        "c": False,
        "d": False,
        "f": False,
    }
    assert render(document, "html").count("delayed by a block") == 2


def test_the_path_before_the_first_span_has_the_block(run: Recording) -> None:
    """On the way, queued while the loop was blocked, and on the way again: without a gap."""
    document = run.document()
    history = load(run.folder)
    members = [span for span in history.of(event.SpanEnded) if span.trace_id[0] == "a"]
    path = [Segment(4.31, 90.0, Part.RUN, "handle", "service.py:3", "")]
    before = TraceGaps(history, document.blocks).before(members, path)

    assert [(part.what, part.who, part.where) for part in before] == [
        (Gap.AWAY, "", ""),
        (Gap.BLOCKED, "Host.restart", "hosts.py:46"),
        (Gap.AWAY, "", ""),
    ]
    assert [part.took_ms for part in before] == pytest.approx([100, 300, 10])
    assert before[0].at_s == pytest.approx(3.9)


def test_several_blocks_in_one_gap_are_told_in_order(record: Record, look: Look) -> None:
    """Each with its own time; one that began before the trace counts from the trace's start."""
    made = record()
    made.loop()
    for at_s in (3.8, 4.2, 4.6):
        made.blocked(at_s, 200, [look("hosts.py:46 Host.restart", span="")])
    traced(made, "a", (3.9, 3.91, *DRIVER), (4.9, 5.0, *MAIN))
    made.ended()
    made.close()
    history = load(made.folder)
    document: Report = build(history)
    path = [Segment(4.9, 100.0, Part.RUN, "handle", "service.py:3", "")]
    before = TraceGaps(history, document.blocks).before(history.of(event.SpanEnded), path)

    assert [str(part.what) for part in before] == ["blocked", "away", "blocked", "away", "blocked", "away"]
    assert [part.took_ms for part in before] == pytest.approx([100, 200, 200, 200, 200, 100])
    assert document.traces[0].blocked
