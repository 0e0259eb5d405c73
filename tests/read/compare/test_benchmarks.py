"""Which benchmarks can be compared, what is said of the others, and how many are judged together."""

from __future__ import annotations

from harness.read.compare import benchmarks
from harness.read.compare.paired.answer import Answer, Lacking, whole
from harness.read.compare.paired.measure import Measure
from harness.read.compare.paired.trial import judge
from harness.record.comparison.benchmarks import BenchmarkResults
from harness.record.comparison.pairs import Neighbours, RunPair

A, B = Measure("a", "ms"), Measure("b", "ms")


def pair(base: dict[str, float], head: dict[str, float]) -> RunPair:
    return RunPair((Neighbours(base, head), Neighbours(base, head)))


def test_a_benchmark_of_one_side_has_no_verdict_and_a_reason() -> None:
    """A moved test keeps its name, a renamed one most of it; others are just not there."""
    base = BenchmarkResults({"old.py::test_it": 1.0, "a.py::test_parse_all": 1.0, "a.py::test_gone": 1.0})
    head = BenchmarkResults(
        {"new.py::test_it": 1.0, "a.py::test_parse_each": 1.0, "b.py::test_x": 1.0},
        {"b.py::test_y": "skipped: later"},
    )
    found = benchmarks.paired(base, head)

    assert found.measures == ()
    assert found.apart == {
        "old.py::test_it": "not in the head, which has new.py::test_it: renamed?",
        "a.py::test_parse_all": "not in the head, which has a.py::test_parse_each: renamed?",
        "a.py::test_gone": "not in the head",
        "new.py::test_it": "not in the base, which has old.py::test_it: renamed?",
        "a.py::test_parse_each": "not in the base, which has a.py::test_parse_all: renamed?",
        "b.py::test_x": "not in the base",
        "b.py::test_y": "not in the base; head: skipped: later",
    }
    judged = benchmarks.judged_once(base, head, found).judged
    assert [one.answer for one in judged] == [Answer.UNKNOWN] * 7
    assert whole(judged) == Answer.UNKNOWN


def test_new_or_missing_is_only_what_is_not_there() -> None:
    """And not what has failed, is skipped, or has a file that cannot be collected; then it is just untold."""
    base = BenchmarkResults(
        {"a.py::test_gone": 1.0, "a.py::test_skipped": 1.0, "c.py::test_hidden": 1.0},
        {"a.py::test_mended": "failed: x", "a.py::test_given_up": "failed: x"},
        {"b.py": "ImportError"},
    )
    head = BenchmarkResults(
        {"a.py::test_mended": 1.0, "a.py::test_new": 1.0, "b.py::test_there": 1.0},
        {"a.py::test_skipped": "skipped: x", "a.py::test_unfinished": "failed: x"},
        {"c.py": "ImportError"},
    )
    judged = benchmarks.judged_once(base, head, benchmarks.paired(base, head)).judged

    assert {one.name.partition("::test_")[2]: one.lacking for one in judged} == {
        "gone": Lacking.MISSING,
        "given_up": Lacking.MISSING,
        "new": Lacking.NEW,
        **dict.fromkeys(("skipped", "hidden", "mended", "there", "unfinished")),
    }


def test_a_benchmark_that_always_fails_later_is_not_missing() -> None:
    """It was there, in the first run of each side."""
    both = BenchmarkResults({"a": 1.0})
    trial = judge([pair({"a": 1.0}, {})] * 5, [A], leaves_settled=True)
    broken = benchmarks.broken_later({}, {"a": "failed: y"})
    (one,) = benchmarks.with_apart(trial, broken, both, both).judged

    assert trial.judged[0].lacking == Lacking.MISSING
    assert (one.why, one.lacking) == ("head: failed: y", None)


def test_a_benchmark_that_fails_later_keeps_a_verdict_that_it_has() -> None:
    """Without one, the failure is the reason."""
    both = BenchmarkResults({"a": 1.0, "b": 1.0})
    trial = judge([pair({"a": 1.0}, {"a": 1.0})] * 5, [A, B], leaves_settled=True)
    broken = benchmarks.broken_later({"a": "failed: x", "b": "failed: x"}, {"b": "failed: y"})
    judged = benchmarks.with_apart(trial, broken, both, both).judged

    assert [(one.name, one.answer, one.why) for one in judged] == [
        ("a", Answer.SAME, ""),
        ("b", Answer.UNKNOWN, "base: failed: x; head: failed: y"),
    ]


def test_what_is_settled_may_leave_and_what_is_not_may_not() -> None:
    """The others go on; only where that was agreed. One that left unsettled has no verdict."""
    first = [pair({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 1.2})] * 5
    then = [pair({"b": 1.0}, {"b": 1.2})] * 5
    left = judge([*first, *then], [A, B], leaves_settled=True)
    lacking = judge([*first, *then], [A, B])
    unsettled = judge([*first[:4], *then, *then], [A, B], leaves_settled=True)

    assert [one.answer for one in left.judged] == [Answer.SAME, Answer.SLOWER]
    assert [one.pairs for one in left.judged] == [5, 10]
    assert [one.answer for one in lacking.judged] == [Answer.UNKNOWN, Answer.SLOWER]
    assert [one.answer for one in unsettled.judged] == [Answer.UNKNOWN, Answer.SLOWER]


def test_those_that_left_share_the_risk_with_those_that_go_on() -> None:
    """Fifty benchmarks make each confirmation harder than one does, also after most of them are settled."""

    def confirmed(others: int) -> Answer:
        """A slowdown that is seen clearly at first, and barely in the fresh pairs."""
        names = [f"other_{number}" for number in range(others)]
        rest = dict.fromkeys(names, 1.0)
        first = [pair({"a": 100.0, **rest}, {"a": 110.0 + n, **rest}) for n in range(5)]
        fresh = [pair({"a": 100.0}, {"a": 100.0 + more}) for more in (4, 5, 7, 9, 10)]
        measures = [A, *(Measure(name, "ms") for name in names)]
        return judge([*first, *fresh], measures, leaves_settled=True).judged[0].answer

    assert confirmed(0) == Answer.SLOWER
    assert confirmed(49) == Answer.UNKNOWN
