"""When requests are due: sequences of times, independent of clocks and targets."""

from __future__ import annotations

import random
from collections.abc import Iterator


def arrivals(kind: str, rate_per_s: float, *, seed: int) -> Iterator[float]:
    """Yield arrival times, in seconds since the start; never ends.

    This is an open model: the times do not depend on the target, so a slow target shows as queueing delay and
    not as a lower rate.

    Args:
        kind: "poisson" (independent users) or "constant".
        rate_per_s: Mean arrivals per second, finite and > 0.
        seed: Same seed, same times.

    Source: Schroeder, Wierman, Harchol-Balter, "Open Versus Closed: A Cautionary Tale", NSDI 2006.
    """
    return _poisson(rate_per_s, random.Random(seed)) if kind == "poisson" else _constant(rate_per_s)


def _constant(rate_per_s: float) -> Iterator[float]:
    n = 0
    while True:
        yield n / rate_per_s  # not a running sum, whose rounding errors would add up
        n += 1


def _poisson(rate_per_s: float, chance: random.Random) -> Iterator[float]:
    time_s = 0.0
    while True:
        time_s += chance.expovariate(rate_per_s)
        yield time_s
