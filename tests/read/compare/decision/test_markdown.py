"""A decision as Markdown."""

from __future__ import annotations

from harness.read.compare.decision.decision import ComparedSide, decision
from harness.read.compare.decision.markdown import render
from harness.read.compare.paired.measure import Measure, MeasureGate
from harness.read.compare.paired.trial import judge
from harness.record.comparison.pairs import Neighbours, RunPair


def test_a_thousand_measures_fit_a_comment() -> None:
    """Those that decide come first; the rest is cut and counted."""
    names = [f"figure_{number:04}" for number in range(1_000)]
    run = dict.fromkeys(names, 1.0)
    measures = [Measure(name, "count", gate=MeasureGate.SHOWN) for name in names[:-1]]
    trial = judge([RunPair((Neighbours(run, run),))] * 5, [*measures, Measure(names[-1], "count")])
    sides = ComparedSide("base", "old | `new`"), ComparedSide("head", "<b>")
    text = render(decision(trial, comparison_id="x", base=sides[0], head=sides[1]))

    assert text.startswith("### ✅ no difference that matters: figure_0999")
    assert text.splitlines()[4].startswith("| `figure_0999` | 1 | 1 | +0.0 % |")
    assert "more | | | | | | |" in text
    assert "&lt;b>" in text
    assert len(text) < 65_536
