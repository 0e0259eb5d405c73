"""The steps of the judgement, with pairs that are written down."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from harness.read.compare.paired.answer import Answer, whole
from harness.read.compare.paired.estimate import estimate, student_quantile
from harness.read.compare.paired.measure import Measure, MeasureGate
from harness.read.compare.paired.spending import CONFIRMING, LOOKS, SCREENING
from harness.read.compare.paired.trial import judge
from harness.record.comparison.pairs import Neighbours, RunPair

CPU, TURNS = Measure("cpu_ms", "ms"), Measure("turns", "count")
BLOCKS = Measure("blocks", "count", floor=1.0)


def pair(base: Mapping[str, float], head: Mapping[str, float]) -> RunPair:
    return RunPair((Neighbours(base, head), Neighbours(base, head)))


def pairs(*percent: float) -> list[RunPair]:
    """One pair for each number: the head takes that much more."""
    return [pair({"cpu_ms": 100.0}, {"cpu_ms": 100.0 + more}) for more in percent]


def test_slower_needs_fresh_pairs() -> None:
    """Five pairs raise the suspicion, and five more must confirm it; the figures are theirs."""
    suspicious = pairs(10, 11, 12, 13, 14)
    first = judge(suspicious, [CPU])
    confirmed = judge([*suspicious, *pairs(8, 8.5, 9, 9.5, 10)], [CPU])
    not_confirmed = judge([*suspicious, *pairs(0, 0.5, -0.5, 1, -1)], [CPU])
    (judged,) = confirmed.judged

    assert (first.judged[0].answer, first.judged[0].why) == (Answer.UNKNOWN, "not confirmed yet")
    assert (first.wanted, first.most) == (10, 30)
    assert (judged.answer, judged.pairs, judged.fresh, confirmed.wanted) == (Answer.SLOWER, 10, 5, None)
    assert judged.change == pytest.approx(0.09)
    assert judged.low is not None
    assert judged.high is not None
    assert 0.06 < judged.low < 0.09 < judged.high < 0.12
    assert not_confirmed.judged[0].answer == Answer.UNKNOWN
    assert "said slower, 5 fresh pairs did not confirm it" in not_confirmed.judged[0].why


def test_what_does_not_differ_is_told_early() -> None:
    """After the first look; what is a little slower is no difference that matters, and the answer says so."""
    same = judge(pairs(0.5, -0.5, 0.2, -0.2, 0.1), [CPU])
    little = judge(pairs(1.0, 1.2, 1.1, 0.9, 1.05), [CPU])

    assert (same.judged[0].answer, same.wanted) == (Answer.SAME, None)
    assert (little.judged[0].answer, little.wanted) == (Answer.SAME, None)
    assert little.judged[0].why == "a little slower, by less than 5.0 %"


def test_exact_counts_are_settled_by_the_fewest_pairs() -> None:
    """Counts have no noise: equal ones are equal, one more turn per message is found, and confirmed."""
    equal = judge([pair({"turns": 3.0}, {"turns": 3.0})] * 5, [TURNS])
    more = judge([pair({"turns": 3.0}, {"turns": 4.0})] * 10, [TURNS])

    assert (equal.judged[0].answer, equal.judged[0].visible) == (Answer.SAME, 0.0)
    assert more.judged[0].answer == Answer.SLOWER
    assert more.judged[0].change == pytest.approx(1 / 3, abs=1e-4)


def test_a_count_that_may_be_none_has_a_floor() -> None:
    """From no block to four is slower, from none to none the same; without a floor there is no ratio."""
    new = judge([pair({"blocks": 0.0}, {"blocks": 4.0})] * 10, [BLOCKS])
    none = judge([pair({"blocks": 0.0}, {"blocks": 0.0})] * 5, [BLOCKS])
    without = judge([pair({"blocks": 0.0}, {"blocks": 4.0})] * 5, [Measure("blocks", "count")])

    assert new.judged[0].answer == Answer.SLOWER
    assert none.judged[0].answer == Answer.SAME
    assert without.judged[0].answer == Answer.UNKNOWN
    assert without.wanted is None


def test_what_one_side_lacks_is_named_and_ends_nothing_early() -> None:
    """It cannot be told, whatever the others say; and no pair is taken for it."""
    trial = judge([pair({"cpu_ms": 1.0, "turns": 3.0}, {"cpu_ms": 1.0})] * 5, [CPU, TURNS])

    assert [one.answer for one in trial.judged] == [Answer.SAME, Answer.UNKNOWN]
    assert trial.judged[1].why == "not measured in the head"
    assert trial.judged[1].base == 3.0
    assert trial.wanted is None
    assert whole(trial.judged) == Answer.UNKNOWN


def test_more_can_be_better() -> None:
    """Messages per second: fewer of them are slower."""
    rate = Measure("messages_per_s", "per second", more_is_better=True)
    fewer = judge([pair({"messages_per_s": 100.0}, {"messages_per_s": 80.0})] * 10, [rate])

    assert fewer.judged[0].answer == Answer.SLOWER
    assert fewer.judged[0].change == pytest.approx(0.25)


def test_only_what_is_gated_asks_for_pairs_and_decides() -> None:
    """A measure that is only shown may stay open, or be slower."""
    shown = Measure("turns", "count", gate=MeasureGate.SHOWN)
    settled = judge([pair({"cpu_ms": 1.0, "turns": 3.0}, {"cpu_ms": 1.0, "turns": 9.0})] * 5, [CPU, shown])

    assert settled.wanted is None
    assert settled.judged[1].why == "no more pairs were taken for it alone"
    assert whole(settled.judged) == Answer.SAME
    assert whole(settled.judged[1:]) == Answer.UNKNOWN


def test_what_ended_the_pairs_is_the_reason() -> None:
    """Nothing is settled by an end, and the reason is told."""
    trial = judge(pairs(0, 20, -20), [CPU], ended="--max-minutes 1 was over after 3 pairs")

    assert trial.judged[0].answer == Answer.UNKNOWN
    assert trial.judged[0].why == "--max-minutes 1 was over after 3 pairs"


def test_many_measures_share_the_risk_when_confirmed() -> None:
    """Evidence that is enough for one is not for the same among forty, and is where the others are plain."""
    weak = (3.2, 6.5, 5.0, 4.0, 6.2)
    alone = judge(pairs(*weak, *weak), [CPU])
    crowd = [CPU, *(Measure(f"m{n}", "ms") for n in range(39))]

    def crowded(others: float) -> Answer:
        both = [
            pair(
                {"cpu_ms": 100.0} | {f"m{n}": 100.0 for n in range(39)},
                {"cpu_ms": 100.0 + more} | {f"m{n}": 100.0 + others for n in range(39)},
            )
            for more in (*weak, *weak)
        ]
        return judge(both, crowd).judged[0].answer

    assert alone.judged[0].answer == Answer.SLOWER
    assert crowded(0.0) == Answer.UNKNOWN
    assert crowded(50.0) == Answer.SLOWER


def test_looks_spend_no_more_than_the_risk() -> None:
    """The sum over all looks is the risk of the stage."""
    for stage in (SCREENING, CONFIRMING):
        assert math.fsum(map(stage.alarm_at, LOOKS)) == pytest.approx(stage.alarm)
        assert math.fsum(map(stage.miss_at, LOOKS)) == pytest.approx(stage.miss)
    assert SCREENING.alarm * CONFIRMING.alarm <= 0.02


@pytest.mark.parametrize(
    ("share", "freedom", "expected"),
    [(0.98, 4, 2.999), (0.995, 4, 4.604), (0.975, 24, 2.064), (0.99, 11, 2.718), (0.972, 24, 2.008)],
)
def test_quantiles_are_students(share: float, freedom: int, expected: float) -> None:
    """As in the tables, within 1 %."""
    assert student_quantile(share, freedom) == pytest.approx(expected, rel=0.01)


def test_a_spoilt_neighbour_hardly_moves_the_estimate() -> None:
    """The machine changed its speed within a pair: one ratio of ten is off by 70 %."""
    sound = tuple((0.05 + n / 1000, 0.05 - n / 1000) for n in range(5))
    spoilt = ((0.53, 0.05), *sound[1:])

    assert estimate(spoilt).center == pytest.approx(estimate(sound).center, abs=0.002)
    assert estimate(sound) == estimate(sound)


def test_an_alarm_counts_without_deciding() -> None:
    """A noisy wall clock holds nothing up; that it is slower is told as soon as fresh pairs confirm it."""
    wall = Measure("wall_ms", "ms", gate=MeasureGate.ALARMS)

    def taken(*more: float) -> list[RunPair]:
        return [pair({"cpu_ms": 1.0, "wall_ms": 100.0}, {"cpu_ms": 1.0, "wall_ms": 100.0 + m}) for m in more]

    noisy = judge(taken(30, -20, 10, -40, 20), [CPU, wall])
    suspected = judge(taken(30, 31, 29, 30, 30), [CPU, wall])
    confirmed = judge(taken(*(30, 31, 29, 30, 30) * 2), [CPU, wall])

    assert (noisy.wanted, whole(noisy.judged)) == (None, Answer.SAME)
    assert suspected.wanted == 10
    assert (confirmed.wanted, whole(confirmed.judged)) == (None, Answer.SLOWER)
