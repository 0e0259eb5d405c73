"""The line on what a measurement cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.read import measurement_cost
from harness.read.figures.overhead import Overhead
from harness.read.report import Report
from harness.read.spans.wait_report import WaitReport
from tests.read.conftest import Record


@pytest.fixture
def document(record: Record) -> Report:
    made = record()
    made.ended(1)
    return made.document()


@pytest.mark.parametrize(
    ("cost", "told"),
    [
        (Overhead(1.0162, 0.0412, 0), "CPU ×1.016, the probe used 0.041 s; 0 events dropped"),
        (
            Overhead(1.5, 0.5, None, "a process did not exit cleanly"),
            "CPU ×1.500, the probe used 0.500 s; events dropped: unknown, a process did not exit cleanly",
        ),
        (Overhead(None, None, None, "no loop was watched"), "not measured: no loop was watched"),
        (
            Overhead(None, 0.0, 1),
            "not measured: the target used too little CPU time; 1 event dropped",
        ),
    ],
)
def test_the_cost_is_told_or_why_it_is_unknown(document: Report, cost: Overhead, told: str) -> None:
    """A figure that is not known is not told as nothing."""
    assert measurement_cost.line(replace(document, overhead=cost, waits=None)) == told


@pytest.mark.parametrize(
    ("spans", "told"), [(0, "no span to decompose"), (3, "25 % of traces decomposed, 2 steps dropped")]
)
def test_traces_are_decomposed_only_if_there_are_spans(document: Report, spans: int, told: str) -> None:
    """`--waits` in a program without spans has decomposed nothing."""
    waits = WaitReport(0.25, spans, 100, 2, (), (), ())
    cost = Overhead(1.0, 0.0, 0)

    assert measurement_cost.line(replace(document, overhead=cost, waits=waits)) == (
        f"CPU ×1.000, the probe used 0.000 s; {told}; 0 events dropped"
    )
