"""A decision as annotations of GitHub Actions."""

from __future__ import annotations

import re
from dataclasses import replace

from harness.read.compare.decision.decision import ComparedSide, Decision, decision
from harness.read.compare.decision.github import render
from harness.read.compare.paired.measure import Measure, MeasureGate
from harness.read.compare.paired.trial import judge
from harness.read.compare.why.reason import ReasonFound, ReasonKind
from harness.record.comparison.pairs import Neighbours, RunPair

# As GitHub documents them: a command, its properties, and data without line ends.
COMMAND = r"::(error|warning|notice) (?:(?:file|line|title)=[^,:\n\r]+,?)+::[^\n\r]+"


def decided(base: dict[str, float], head: dict[str, float], shown: str = "") -> Decision:
    gates = {shown: MeasureGate.SHOWN}
    measures = [Measure(name, "ms", gate=gates.get(name, MeasureGate.DECIDES)) for name in base]
    trial = judge([RunPair((Neighbours(base, head),))] * 10, measures)
    return decision(trial, comparison_id="x", base=ComparedSide("base", "a"), head=ComparedSide("head", "b"))


def test_what_is_slower_is_an_error_and_its_reason_a_warning_at_the_line() -> None:
    """Characters that have a meaning are escaped; what is only shown makes none."""
    found = decided({"cpu_ms": 50.0, "wall_ms": 60.0}, {"cpu_ms": 60.0, "wall_ms": 90.0}, shown="wall_ms")
    reason = ReasonFound(ReasonKind.FUNCTION, "encode takes 3 %\nmore", 1.0, "shop/a,b.py", 12, changed=True)
    text = render(replace(found, reasons=(reason,)))
    log, error, warning = text.splitlines()

    assert log == found.sentence
    assert error.startswith("::error title=slower%3A cpu_ms::cpu_ms 50 ms → 60 ms, +20.0 %25 (")
    assert warning == (
        "::warning file=shop/a%2Cb.py,line=12,title=why it is slower%2C changed here::"
        "encode takes 3 %25%0Amore"
    )
    assert all(re.fullmatch(COMMAND, line) for line in (error, warning))


def test_at_most_ten_of_a_kind_are_made_and_the_rest_is_counted() -> None:
    """The last one says how many there are."""
    names = [f"figure_{number:02}" for number in range(25)]
    text = render(decided(dict.fromkeys(names, 50.0), dict.fromkeys(names, 60.0)))
    errors = [line for line in text.splitlines() if line.startswith("::error")]

    assert len(errors) == 10
    assert errors[-1] == "::error title=more::16 more are in the table"


def test_no_difference_makes_no_annotation() -> None:
    """Only the line for the log."""
    found = decided({"cpu_ms": 50.0}, {"cpu_ms": 50.0})

    assert render(found) == f"{found.sentence}\n"
