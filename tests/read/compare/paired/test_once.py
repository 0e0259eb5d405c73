"""Runs that were taken already: in turn, or as two groups."""

from __future__ import annotations

import random

import pytest

from harness.read.compare.paired.answer import Answer, whole
from harness.read.compare.paired.measure import Measure
from harness.read.compare.paired.once import judge_groups, judge_pairs
from harness.record.comparison.pairs import Neighbours, RunPair

CPU, SPANS = Measure("cpu_us", "us"), Measure("spans", "count")


def group(*values: float, name: str = "cpu_us") -> list[dict[str, float]]:
    return [{name: value} for value in values]


def in_turn(base: list[dict[str, float]], head: list[dict[str, float]]) -> list[RunPair]:
    return [RunPair((Neighbours(*both),)) for both in zip(base, head, strict=True)]


def test_runs_in_turn_are_judged_by_their_neighbours() -> None:
    """A machine that doubles its speed halfway does not matter: each two neighbours met the same one."""
    base = group(100, 101, 99, 51, 50, 49)
    slower, same = group(120, 121, 119, 61, 60, 59), group(101, 100, 99, 50, 51, 49)

    assert judge_pairs(in_turn(base, slower), [CPU]).judged[0].answer == Answer.SLOWER
    assert judge_pairs(in_turn(base, same), [CPU]).judged[0].answer == Answer.SAME


def test_groups_tell_times_only_beyond_what_a_machine_does_by_itself() -> None:
    """A fifth more may be the machine's; three times as much is not. That they are the same, nobody knows."""
    base = group(100, 101, 99, 100.5, 98)
    fifth, thrice, same = (group(*(value["cpu_us"] * by for value in base)) for by in (1.2, 3.0, 1.0))
    answers = [judge_groups(base, head, [CPU]).judged[0] for head in (fifth, thrice, same)]

    assert [one.answer for one in answers] == [Answer.UNKNOWN, Answer.SLOWER, Answer.UNKNOWN]
    assert answers[0].change == pytest.approx(0.2)
    assert answers[0].why == answers[2].why
    assert answers[0].why.startswith("the runs were not taken in turn")


def test_counts_of_groups_can_be_told() -> None:
    """They do not depend on the machine's speed."""
    base = group(5, 5, 5, 5.01, 5, name="spans")
    more, same = group(6, 6, 6.01, 6, 6, name="spans"), group(5, 5.01, 5, 5, 5, name="spans")

    assert judge_groups(base, more, [SPANS]).judged[0].answer == Answer.SLOWER
    assert judge_groups(base, same, [SPANS]).judged[0].answer == Answer.SAME


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        (1, "one run of each: nothing tells how much runs of the same program differ"),
        (3, "3 runs of each: 5 are needed, each with this figure"),
    ],
)
def test_too_few_runs_decide_nothing(runs: int, why: str) -> None:
    """Whatever the difference; its size is told."""
    base, head = group(*[100.0] * runs), group(*[300.0] * runs)

    for trial in (judge_groups(base, head, [CPU]), judge_pairs(in_turn(base, head), [CPU])):
        assert (trial.judged[0].answer, trial.judged[0].why) == (Answer.UNKNOWN, why)
        assert trial.judged[0].change == pytest.approx(2.0)


def test_runs_of_one_program_are_not_called_slower() -> None:
    """Of 200 comparisons of five runs with five, at most four; counts with a little noise."""
    draw = random.Random(1)
    said = [
        judge_groups(
            group(*(draw.gauss(100, 3) for _ in range(5)), name="spans"),
            group(*(draw.gauss(100, 3) for _ in range(5)), name="spans"),
            [SPANS],
        )
        for _ in range(200)
    ]

    assert sum(whole(trial.judged) == Answer.SLOWER for trial in said) <= 4
