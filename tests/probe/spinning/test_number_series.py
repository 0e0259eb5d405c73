"""Which numbers of suspended work are computed, and which count its rounds or read a clock."""

from __future__ import annotations

from random import Random

import pytest

from harness.probe.spinning.number_series import NumberSeries

WAY = 1
Numbers = dict[tuple[int, int], float]
# Sixteen sights, some 20 ms apart, of a loop that makes some 60 turns in a millisecond.
SIGHTS = [
    (1_000_000_000 + 20_000_000 * n + n * n % 7 * 1_000_000, 60_000 + 1_200 * n + n * n % 11 * 40)
    for n in range(16)
]
chance = Random(1)
WALK: Numbers = dict(zip(SIGHTS, [chance.gauss(0, 30) for _ in SIGHTS], strict=True))


def computed(*numbers: Numbers) -> set[int]:
    """What is computed of *numbers*, each of which has a value for each sight."""
    series = NumberSeries()
    for sight in SIGHTS:
        series.add(*sight, {way: values[sight] for way, values in enumerate(numbers, start=WAY)})
    return series.computed()


STEADY: dict[str, Numbers] = {
    "nothing changes": dict.fromkeys(SIGHTS, 7.0),
    "a count of the rounds": {sight: sight[1] + 5 for sight in SIGHTS},
    "a count of rounds of three turns": {sight: sight[1] // 3 for sight in SIGHTS},
    "a count that goes down": {sight: -2 * sight[1] for sight in SIGHTS},
    "a count that is off by some rounds": {sight: sight[1] + sight[1] % 37 for sight in SIGHTS},
    "a count of every eighth round": {sight: sight[1] // 8 for sight in SIGHTS},
    "a count in a number that has a fraction": {sight: float(sight[1]) for sight in SIGHTS},
    "requests, which others count": {sight: n * n // 5 for n, sight in enumerate(SIGHTS)},
    "a clock in seconds": {sight: sight[0] / 1e9 for sight in SIGHTS},
    "a clock in nanoseconds": {sight: sight[0] for sight in SIGHTS},
    "what is left of a time limit": {sight: 60 - sight[0] / 1e9 for sight in SIGHTS},
    "a clock in a thread that stood still": {
        sight: sight[0] / 1e9 - (0.4 if n in (0, 15) else 0) for n, sight in enumerate(SIGHTS)
    },
}
COMPUTED: dict[str, Numbers] = {
    "a walk": WALK,
    "a sum of what differs": {sight: 0.8 * sight[1] + WALK[sight] for sight in SIGHTS},
    "a simulated time": {sight: 0.001 * sight[1] for sight in SIGHTS},
    "a position": {sight: sight[1] % 1_024 for sight in SIGHTS},
    "a square": {sight: sight[1] ** 2 for sight in SIGHTS},
}


@pytest.mark.parametrize("name", STEADY)
def test_a_count_or_a_clock_is_not_computed(name: str) -> None:
    """It is in proportion to the turns or to the time."""
    assert computed(STEADY[name]) == set()


@pytest.mark.parametrize("name", COMPUTED)
def test_a_number_that_is_computed_is_told_from_these(name: str) -> None:
    """Also beside a clock."""
    assert computed(COMPUTED[name], STEADY["a clock in seconds"]) == {WAY}


def test_the_time_between_two_readings_of_a_clock_is_not_computed() -> None:
    """Where there is no clock, a number as small is."""
    spans = {sight: 1e-5 * (1 + n % 5) for n, sight in enumerate(SIGHTS)}

    assert computed(spans, STEADY["a clock in seconds"]) == set()
    assert computed(spans) == {WAY}
