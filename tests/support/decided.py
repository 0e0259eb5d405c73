"""Decisions about figures that are written down."""

from __future__ import annotations

from harness.read.compare.decision.decision import ComparedSide, Decision, decision
from harness.read.compare.paired.allowed import Allowed
from harness.read.compare.paired.measure import Measure, MeasureGate
from harness.read.compare.paired.trial import judge
from harness.record.comparison.pairs import Neighbours, RunPair


def decided(
    base: dict[str, float],
    head: dict[str, float],
    *,
    shown: str = "",
    pairs: int = 10,
    allowed: Allowed | None = None,
) -> Decision:
    """What is decided after pairs that are all alike; each figure decides, but for the one *shown*."""
    gates = {shown: MeasureGate.SHOWN}
    names = dict.fromkeys((*base, *head))
    measures = [Measure(name, "ms", gate=gates.get(name, MeasureGate.DECIDES)) for name in names]
    trial = judge([RunPair((Neighbours(base, head),))] * pairs, measures)
    trial = (allowed or Allowed()).applied(trial)
    return decision(trial, comparison_id="x", base=ComparedSide("base", "a"), head=ComparedSide("head", "b"))
