"""Change points: a series with a step has one there, and a noisy series without has none."""

from __future__ import annotations

import pytest

from harness.runs.change_points import LEAST_SERIES, ChangesUnknownError, change_points
from tests.support.past_runs import NOISES, noisy

pytest.importorskip("ruptures", reason="no ruptures for this Python", exc_type=ImportError)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("count", [20, 60, 200])
def test_a_healthy_series_has_no_change_point(noise: str, count: int) -> None:
    """At most two in forty are mistaken, whatever the noise is like."""
    alarms = [seed for seed in range(40) if change_points(noisy(count, noise=noise, seed=seed))]

    assert len(alarms) <= 2


@pytest.mark.parametrize("noise", NOISES)
def test_a_step_is_found_where_it_is(noise: str) -> None:
    """In 36 of 40 series, within three runs; and it is the only one."""
    found = [change_points(noisy(60, noise=noise, seed=seed, step_at=40)) for seed in range(40)]

    assert sum(len(places) == 1 and abs(places[0] - 40) <= 3 for places in found) >= 36


def test_a_step_back_is_another_one() -> None:
    """Up and down again: three levels."""
    values = [*noisy(20, seed=1), *noisy(20, seed=2, step_at=0), *noisy(20, seed=3)]

    assert change_points(values) == [20, 40]


def test_counts_that_never_change_have_none() -> None:
    """All alike, and nearly all alike."""
    assert change_points([0.0] * 50) == []
    assert change_points([0.0] * 25 + [1.0] + [0.0] * 24) == []


def test_a_short_series_is_not_judged() -> None:
    """It says how many runs it takes; with so many, the clearest step is found."""
    with pytest.raises(ChangesUnknownError, match=f"need {LEAST_SERIES} runs, there are {LEAST_SERIES - 1}"):
        change_points([1.0] * (LEAST_SERIES - 1))

    assert change_points([1.0] * 5 + [2.0] * 5) == [5]
