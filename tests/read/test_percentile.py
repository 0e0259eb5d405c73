"""Percentiles by nearest rank."""

import random

import pytest

from harness.read.percentile import percentiles


@pytest.mark.parametrize("count", [1, 2, 3, 7, 99, 100, 101, 1000])
def test_a_percentile_is_the_smallest_value_that_enough_others_do_not_exceed(count: int) -> None:
    """Each percentile equals what counting through all values finds."""
    dice = random.Random(count)
    values = [dice.choice((dice.random(), dice.randrange(5))) for _ in range(count)]
    shares = (0.5, 0.9, 0.95, 0.99, 0.999, 1.0)

    def counted(share: float) -> float:
        return min(v for v in values if sum(other <= v for other in values) >= share * count - 1e-6)

    assert percentiles(values, shares) == tuple(counted(share) for share in shares)


def test_no_values_have_no_percentile() -> None:
    """Without values every percentile is `None`, not 0."""
    assert percentiles([], (0.5, 1)) == (None, None)
