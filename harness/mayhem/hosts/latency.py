"""How long a restart takes: distributions, each with a notation for options and TOML.

| text                  | takes                                                                            |
|-----------------------|----------------------------------------------------------------------------------|
| `fixed:20ms`          | always 20 ms                                                                     |
| `uniform:10ms,50ms`   | uniformly distributed between the two                                            |
| `exponential:20ms`    | 20 ms on average, and often nearly 0                                             |
| `lognormal:20ms,0.5`  | 20 ms as the median; one in twenty longer than 20 ms x e^(1.645 x 0.5)           |
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from random import Random

# Far beyond realistic spreads: at this one, every hundredth restart takes 10,000 times the median.
MAX_SIGMA = 4.0


@dataclass(frozen=True, slots=True)
class Fixed:
    """A constant time."""

    delay_s: float

    def draw_s(self, random: Random) -> float:
        return self.delay_s


@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniformly distributed between two bounds."""

    low_s: float
    high_s: float

    def __post_init__(self) -> None:
        if self.high_s < self.low_s:
            raise ValueError("a range whose second bound is not below its first")

    def draw_s(self, random: Random) -> float:
        return random.uniform(self.low_s, self.high_s)


@dataclass(frozen=True, slots=True)
class Exponential:
    """Exponentially distributed, as memoryless waiting times are."""

    mean_s: float

    def draw_s(self, random: Random) -> float:
        return random.expovariate(1.0) * self.mean_s


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Lognormally distributed, as most services' latencies: near the median, with a long tail."""

    median_s: float
    sigma: float

    def __post_init__(self) -> None:
        if not 0 <= self.sigma <= MAX_SIGMA:
            raise ValueError(f"a lognormal spread from 0 to {MAX_SIGMA:g}")

    def draw_s(self, random: Random) -> float:
        return self.median_s * math.exp(random.gauss(0.0, self.sigma))


Latency = Fixed | Uniform | Exponential | Lognormal


def parse_latency(text: str) -> Latency:
    """Parse a text like ``lognormal:20ms,0.5``.

    Raises:
        ValueError: The message says what was expected.
    """
    name, _, values = text.partition(":")
    parts = tuple(part.strip() for part in values.split(","))
    match name.strip(), parts:
        case "fixed", (delay,):
            return Fixed(seconds(delay))
        case "uniform", (low, high):
            return Uniform(seconds(low), seconds(high))
        case "exponential", (mean,):
            return Exponential(seconds(mean))
        case "lognormal", (median, sigma):
            return Lognormal(seconds(median), number(sigma))
        case _:
            raise ValueError("like fixed:20ms, uniform:10ms,50ms, exponential:20ms or lognormal:20ms,0.5")


_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Parse a duration with its unit: ``20ms``, ``1.5s``, ``2m``, ``1h``.

    Raises:
        ValueError: The message says what was expected.
    """
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text.strip(), re.ASCII):
        return float(found[1]) * _UNITS_S[found[2]]
    raise ValueError(f"a duration with its unit, like 20ms, 1.5s or 2m, in place of {text!r}")


def number(text: str) -> float:
    """Parse a finite number.

    Raises:
        ValueError: The message says what was expected.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"a number in place of {text!r}")
    return value
