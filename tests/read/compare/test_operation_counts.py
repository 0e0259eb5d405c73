"""Counts of an operation are told apart by their runs alone, and only if all of them agree."""

from __future__ import annotations

from collections.abc import Sequence

from harness.read.compare.operation_counts import with_counts
from harness.read.compare.paired.answer import Answer, Judged, whole
from harness.read.compare.paired.measure import Measure
from harness.read.compare.paired.trial import judge
from harness.record.comparison.pairs import Neighbours, RunPair

NAME = "test_it.py::test_x"


def counted(base: Sequence[float], head: Sequence[float], *, pairs: int = 5) -> list[Judged]:
    """What is told of the tasks of a benchmark whose time is the same; the counts come round again."""
    runs = [
        Neighbours(
            {NAME: 1.0, f"{NAME} tasks": base[n % len(base)]},
            {NAME: 1.0, f"{NAME} tasks": head[n % len(head)]},
        )
        for n in range(2 * pairs)
    ]
    taken = [RunPair((first, second)) for first, second in zip(runs[::2], runs[1::2], strict=True)]
    trial = judge(taken, [Measure(NAME, "ms")])
    time, *counts = with_counts(trial, taken, [NAME]).judged
    assert time.answer == Answer.SAME or pairs < 5
    is_slower = any(one.answer == Answer.SLOWER for one in counts)
    assert whole((time, *counts)) == (Answer.SLOWER if is_slower else time.answer)
    return counts


def test_more_of_something_in_every_run_is_slower() -> None:
    """However the time is; with both values and what the change lies between."""
    (one,) = counted([2.0], [3.0])

    assert (one.name, one.answer, one.base, one.head) == (f"{NAME} tasks", Answer.SLOWER, 2.0, 3.0)
    assert (one.change, one.low, one.high) == (0.5, 0.5, 0.5)


def test_the_first_task_is_one_more_and_has_no_ratio() -> None:
    """Nothing is divided by zero."""
    (one,) = counted([0.0], [1.0])

    assert (one.answer, one.change, one.low) == (Answer.SLOWER, None, None)


def test_the_same_in_all_runs_is_not_worth_a_line() -> None:
    """None at all, too."""
    assert counted([2.0], [2.0]) == counted([0.0], [0.0]) == []


def test_what_varies_is_no_slowdown() -> None:
    """One run of the base with as many is enough; nor is anything below three fifths of the limit."""
    answers = [counted([100, 106], [107, 106])[0].answer, counted([100], [102])[0].answer]

    assert answers == [Answer.UNKNOWN, Answer.SAME]


def test_fewer_in_every_run_is_faster_and_few_runs_tell_nothing() -> None:
    """Five runs each would be apart by chance once in 250 times."""
    assert counted([3.0], [2.0])[0].answer == Answer.FASTER
    assert counted([2.0], [3.0], pairs=2)[0].answer == Answer.UNKNOWN


def test_what_one_side_does_not_count_is_named_and_does_not_decide() -> None:
    """A revision whose environment has another harness, or another loop."""
    pairs = [RunPair((Neighbours({NAME: 1.0}, {NAME: 1.0, f"{NAME} tasks": 1.0}),) * 2)] * 5
    judged = with_counts(judge(pairs, [Measure(NAME, "ms")]), pairs, [NAME]).judged

    assert [(one.answer, one.why) for one in judged] == [
        (Answer.SAME, ""),
        (Answer.UNKNOWN, "not measured in the base"),
    ]
    assert whole(judged) == Answer.SAME
