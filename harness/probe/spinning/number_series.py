"""How the numbers of some work run over a series of sights.

Work that does nothing may count its rounds, or read a clock in each: then a number rises in proportion to the
turns or to the time. One that is computed does not.
"""

from __future__ import annotations

from collections import defaultdict

from ...record.value import Row

# A number is in proportion if it is off by no more than a few rounds, and this share of what it has run.
ROUNDS, EXACT = 4.0, 0.001
# A round that takes one turn, or two or three, or is one of two or three in a turn, or a clock that counts
# seconds or parts of one: here a larger share is allowed, because no number that is computed runs like this.
WHOLE, CLOCKS, ROUGH = (1.0, 2.0, 3.0), (1.0, 1e3, 1e6, 1e9), 0.05
# What changes less often than once in so many turns is no work of a turn: requests that are counted, say.
SELDOM = 20
# On a busy machine a thread stands still at times between the reading of a clock and a sight: the share of
# the sights in which it does not.
MOST = 0.8
# The time between two readings of a clock, in turns.
SPAN_TURNS = 50


class Point(Row):
    """A number at one sight."""

    at_ns: int
    turns: int  # of the loop so far
    value: float


class NumberSeries:
    """The numbers of one piece of work, by the ways that lead to them."""

    def __init__(self) -> None:
        self._points: dict[int, list[Point]] = defaultdict(list)
        self.points = 0  # of each

    def add(self, at_ns: int, turns: int, numbers: dict[int, float]) -> None:
        """Add what was there at one sight."""
        self.points += 1
        for way, value in numbers.items():
            self._points[way].append(Point(at_ns, turns, value))

    def computed(self) -> set[int]:
        """The ways to the numbers that are neither counts nor clocks, nor times between their readings."""
        unit_per_s = next((unit for points in self._points.values() if (unit := _clock(points))), 0.0)
        return {
            way
            for way, points in self._points.items()
            if not _is_count(points) and not _clock(points) and not _is_span(points, unit_per_s)
        }


def _is_count(points: list[Point]) -> bool:
    """Whether the number is in proportion to the turns, or stays. Nobody counts rounds in fractions."""
    first, last = points[0], points[-1]
    ran, turns = last.value - first.value, last.turns - first.turns
    if not turns or not ran:
        return all(point.value == first.value for point in points)
    if type(last.value) is int and abs(ran) * SELDOM < turns and _is_monotone(points):
        return True
    rate = ran / turns
    is_whole = any(abs(times / whole - 1) < ROUGH for whole in WHOLE for times in (abs(rate), abs(1 / rate)))
    if type(last.value) is float and not is_whole:
        return False
    allowed = max(1.0, abs(rate)) * ROUNDS + abs(ran) * (ROUGH if is_whole else EXACT)
    return all(
        abs(point.value - first.value - rate * (point.turns - first.turns)) <= allowed for point in points
    )


def _is_monotone(points: list[Point]) -> bool:
    values = [point.value for point in points]
    return values in (sorted(values), sorted(values, reverse=True))


def _clock(points: list[Point]) -> float:
    """The parts of a second that the number counts, up or down; 0 if it is no clock."""
    lasted_s = (points[-1].at_ns - points[0].at_ns) / 1e9
    ran = abs(points[-1].value - points[0].value)
    unit = min(CLOCKS, key=lambda unit: abs(ran - unit * lasted_s))
    for rate in (unit, -unit):
        offsets = sorted(point.value - rate * point.at_ns / 1e9 for point in points)
        median = offsets[len(offsets) // 2]
        if sum(abs(one - median) <= ROUGH * unit * lasted_s for one in offsets) >= MOST * len(points):
            return unit
    return 0.0


def _is_span(points: list[Point], unit_per_s: float) -> bool:
    """Whether the number may be the time between two readings of a clock, one in each round or so."""
    first, last = points[0], points[-1]
    if not unit_per_s or last.turns == first.turns:
        return False
    turn = (last.at_ns - first.at_ns) / 1e9 / (last.turns - first.turns) * unit_per_s
    return sum(0 <= point.value < SPAN_TURNS * turn for point in points) >= MOST * len(points)
