"""The lag of a loop, weighted by time."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from harness.read.figures.loop import lag_ns, sentence
from harness.record import page
from harness.record.event import ProbeFailed
from tests.read.conftest import Record


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 0.999])
def test_lag_is_the_wait_of_work_due_at_a_random_moment(share: float) -> None:
    """The formula agrees with visitors who come at random moments of a simulated loop."""
    dice = random.Random(11)
    turns = [dice.choice((1e6, 2e6, 40e6, 300e6)) for _ in range(400)]
    pauses = [dice.expovariate(1 / 30e6) for _ in turns]
    ran_ns = sum(turns) + sum(pauses)
    starts, at = [], 0.0
    for length, pause in zip(turns, pauses, strict=True):
        starts.append((at, at + length))
        at += length + pause
    visits = sorted(dice.uniform(0, ran_ns) for _ in range(200_000))
    waits, index = [], 0
    for visit in visits:
        while index + 1 < len(starts) and starts[index + 1][0] <= visit:
            index += 1
        waits.append(max(0.0, starts[index][1] - visit))
    waited = sorted(waits)[int(share * len(waits))]

    assert lag_ns([(1, length) for length in turns], int(ran_ns), share) == pytest.approx(
        waited, rel=0.03, abs=1e6
    )


def test_a_loop_that_is_rarely_in_a_turn_has_no_lag() -> None:
    """Where less than the share of all moments lies in turns, the percentile is 0."""
    assert lag_ns([(10, 1e6)], ran_ns=10**10, share=0.99) == 0.0


def test_a_tenth_of_the_time_dead_is_not_hidden_by_a_million_quick_turns(record: Record) -> None:
    """One turn of 2 s in a run of 20 s is the p99, however many short turns there were."""
    made = record()
    made.loop(turns_ms=[0.001] * 20_000 + [2000.0], ran_s=20.0)
    made.ended()

    lag = made.document().loop.lag_ms
    assert (lag.p50, lag.max) == (0.0, 2000.0)
    assert lag.p99 == pytest.approx(1800, abs=20)


def test_the_turn_in_which_a_process_was_killed_counts(record: Record) -> None:
    """A turn that never ended is as long as the process is known to have lived in it."""
    made = record()
    made.loop(turns_ms=[1.0], stopped=False)
    made.words[page.TURN] = made.at(3)
    made.words[page.LOOKED] = made.at(3.1)
    made.write("target", _last_word(made.at(8)))
    made.ended(9, status=-9)

    loop = made.document().loop
    assert loop.lag_ms.max == pytest.approx(5000)
    assert loop.ran_s == pytest.approx(8)


def _last_word(at_ns: int) -> ProbeFailed:
    return ProbeFailed(at_ns, "test", "its last word")


def test_the_sentence_has_the_longest_turn_where_it_is_known(record: Record) -> None:
    """Beside busy time, turns and lag; without any loop there is nothing to tell of it."""
    made = record()
    made.loop(turns_ms=[1.0] * 100 + [300.0], ran_s=10.0)
    made.ended()
    figures = made.document().loop
    unknown = replace(figures, lag_ms=replace(figures.lag_ms, max=None))

    assert sentence(figures) == ("busy 4.0 % in 101 turns; lag p50 0 ms, p99 200 ms, longest turn 300 ms")
    assert "longest" not in sentence(unknown)
