"""What is new or missing and was allowed to be does not decide; all else does."""

from __future__ import annotations

import pytest

from harness.read.compare.paired.allowed import Allowed
from harness.read.compare.paired.answer import Answer, whole
from harness.read.compare.paired.measure import Measure, MeasureGate
from harness.read.compare.paired.trial import Trial, judge
from harness.record.comparison.pairs import Neighbours, RunPair

BASE, HEAD = {"same": 10.0, "gone": 10.0, "slow": 10.0}, {"same": 10.0, "fresh[a]": 10.0, "slow": 20.0}


def trial(*names: str) -> Trial:
    """The judgement of those figures, as they are after ten pairs."""
    pairs = [RunPair((Neighbours(BASE, HEAD),))] * 10
    return judge(pairs, [Measure(name, "ms") for name in names])


@pytest.mark.parametrize(
    ("allowed", "verdict"),
    [
        (Allowed(), Answer.UNKNOWN),
        (Allowed(new=["fresh[a]"]), Answer.UNKNOWN),
        (Allowed(missing=["gone"]), Answer.UNKNOWN),
        (Allowed(new=["*"]), Answer.UNKNOWN),
        (Allowed(new=["gone"], missing=["fresh[a]"]), Answer.UNKNOWN),
        (Allowed(new=["fresha"], missing=["gon"]), Answer.UNKNOWN),
        (Allowed(new=["fresh[a]"], missing=["gone"]), Answer.SAME),
        (Allowed(new=["f*[*]"], missing=["*"]), Answer.SAME),
    ],
)
def test_only_what_is_named_and_of_that_kind_is_accepted(allowed: Allowed, verdict: Answer) -> None:
    """A name is meant letter for letter, but for its stars; it is still among what was judged."""
    found = allowed.applied(trial("same", "gone", "fresh[a]"))

    assert whole(found.judged) == verdict
    assert [one.name for one in found.judged] == ["same", "gone", "fresh[a]"]


def test_what_both_sides_have_is_never_accepted() -> None:
    """Slower stays slower, and what cannot be told stays so."""
    everything = Allowed(new=["*"], missing=["*"])
    slower = everything.applied(trial("same", "gone", "slow"))
    untold = everything.applied(judge([RunPair((Neighbours(BASE, HEAD),))], [Measure("same", "ms")]))

    assert (whole(slower.judged), whole(untold.judged)) == (Answer.SLOWER, Answer.UNKNOWN)
    assert [one.gate for one in slower.judged] == [
        MeasureGate.DECIDES,
        MeasureGate.ACCEPTED,
        MeasureGate.DECIDES,
    ]


def test_where_everything_is_accepted_nothing_was_judged() -> None:
    """That is no difference, as far as anybody knows."""
    assert whole(Allowed(new=["*"]).applied(trial("fresh[a]")).judged) == Answer.UNKNOWN
