"""What is compared of two records, in units of the work that was done."""

from __future__ import annotations

import pytest

from harness.read.calls.allowlist import Allowlist
from harness.read.compare.measures.record import of_record
from harness.read.evidence import Evidence
from harness.read.history import load
from harness.read.report import build
from harness.record.event import ProbeClosed, TargetStarted
from harness.record.writer import Writer
from tests.read.conftest import Full, Record

ANSWERED, BLOCKS = 1196, 5


def test_blocks_and_failures_are_told_per_thousand_answers(full: Full) -> None:
    """So that a run with more requests, which blocks more often, is no worse for it."""
    made = full(blocks=BLOCKS)
    made.close()
    found = of_record(Evidence(load(made.folder), Allowlist()))

    assert found["blocks_per_1000"] == pytest.approx(BLOCKS / ANSWERED * 1000)
    assert found["held_ms_per_1000"] == pytest.approx(BLOCKS * 301 / ANSWERED * 1000)
    assert found["failed_per_1000"] == pytest.approx(4 / ANSWERED * 1000)
    assert found["lost"] == 0


def test_the_totals_of_a_killed_process_are_unknown(record: Record) -> None:
    """Those of the others are not the whole: neither its CPU time nor its dropped spans are 0."""
    made = record()
    closed = ProbeClosed(made.at(1), 1, 1.0, 1, 5_000_000, 0, spans_followed=True)
    made.write("runner", TargetStarted(made.at(0), 1, ("shop",)))
    made.write("target", closed)
    made.ended()
    made.close()
    whole = load(made.folder)
    killed = Writer(made.folder.events, "target")
    assert killed.flush()
    cut_off = load(made.folder)
    killed.close()

    assert of_record(Evidence(whole, Allowlist()))["process_cpu_us"] == 5000
    assert "process_cpu_us" not in of_record(Evidence(cut_off, Allowlist()))
    assert (build(whole).spans.dropped, build(cut_off).spans.dropped) == (0, None)
