"""When requests are due: sequences of times, independent of clocks and targets."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from math import sqrt

# How long it lasts, and the rates at its beginning and its end, between which the rate changes evenly.
Piece = tuple[float, float, float]


def arrivals(kind: str, plan: Iterable[Piece], *, seed: int) -> Iterator[float]:
    """Yield the arrival times of a rate that follows *plan*, in seconds since its start, until its end.

    This is an open model: the times do not depend on the target, so a slow target shows as queueing delay and
    not as a lower rate.

    Args:
        kind: "poisson" (independent users) or "constant" (evenly spaced, as far as the rate is even).
        plan: Its rates are in arrivals per second, finite and >= 0.
        seed: Same seed, same times.

    Source: Schroeder, Wierman, Harchol-Balter, "Open Versus Closed: A Cautionary Tale", NSDI 2006; the
    arrivals of a changing rate are those of a rate of 1 in a time that runs as fast as the rate says (Lewis
    and Shedler, "Simulation of Nonhomogeneous Poisson Processes", 1979).
    """
    counts = _poisson(random.Random(seed)) if kind == "poisson" else map(float, itertools.count())
    count = next(counts)
    began_s = before = 0.0
    for for_s, from_per_s, to_per_s in plan:
        in_it = for_s * (from_per_s + to_per_s) / 2
        while count - before < in_it:
            yield began_s + _time(count - before, from_per_s, (to_per_s - from_per_s) / for_s)
            count = next(counts)
        began_s += for_s
        before += in_it


def mean_per_s(plan: Iterable[Piece]) -> float:
    """The mean rate of a plan; 0 for an empty one."""
    plan = tuple(plan)
    lasts_s = sum(for_s for for_s, _, _ in plan)
    return sum(for_s * (first + last) / 2 for for_s, first, last in plan) / lasts_s if lasts_s else 0.0


def _time(count: float, from_per_s: float, slope: float) -> float:
    """When so many have arrived since the rate was *from_per_s*, growing by *slope* per second."""
    # The root of t * from + t**2 * slope / 2 = count, in the form that needs no division by the slope.
    speed = from_per_s + sqrt(max(0.0, from_per_s**2 + 2 * slope * count))
    return 2 * count / speed if speed else 0.0


def _poisson(chance: random.Random) -> Iterator[float]:
    count = 0.0
    while True:
        count += chance.expovariate(1.0)
        yield count
