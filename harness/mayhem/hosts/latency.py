"""How long a restart takes: distributions, each with a short text for the command line and for TOML.

| text                  | takes                                                                            |
|-----------------------|----------------------------------------------------------------------------------|
| `fixed:20ms`          | always 20 ms                                                                     |
| `uniform:10ms,50ms`   | anything between the two                                                         |
| `exponential:20ms`    | 20 ms on average, and often nothing at all                                       |
| `lognormal:20ms,0.5`  | half of them longer than 20 ms; one in twenty longer than 20 ms x e^(1.645 x 0.5) |
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from random import Random

# Far beyond anything real: at this spread, every hundredth restart takes 10,000 times the median.
MAX_SIGMA = 4.0


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same."""

    delay_s: float

    def draw_s(self, random: Random) -> float:
        return self.delay_s


@dataclass(frozen=True, slots=True)
class Uniform:
    """Between the two, all equally likely."""

    low_s: float
    high_s: float

    def __post_init__(self) -> None:
        if self.high_s < self.low_s:
            raise ValueError("a range whose second bound is not below its first")

    def draw_s(self, random: Random) -> float:
        return random.uniform(self.low_s, self.high_s)


@dataclass(frozen=True, slots=True)
class Exponential:
    """As waiting times are when nothing remembers how long it has been."""

    mean_s: float

    def draw_s(self, random: Random) -> float:
        return random.expovariate(1.0) * self.mean_s


@dataclass(frozen=True, slots=True)
class Lognormal:
    """As most services answer: near the median, with a long tail."""

    median_s: float
    sigma: float

    def __post_init__(self) -> None:
        if not 0 <= self.sigma <= MAX_SIGMA:
            raise ValueError(f"a lognormal spread from 0 to {MAX_SIGMA:g}")

    def draw_s(self, random: Random) -> float:
        return self.median_s * math.exp(random.gauss(0.0, self.sigma))


Latency = Fixed | Uniform | Exponential | Lognormal


def parse_latency(text: str) -> Latency:
    """The distribution that a text like ``lognormal:20ms,0.5`` describes.

    Raises:
        ValueError: Says what was expected.
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
    """A duration with its unit: ``20ms``, ``1.5s``, ``2m``, ``1h``.

    Raises:
        ValueError: Says what was expected.
    """
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text.strip(), re.ASCII):
        return float(found[1]) * _UNITS_S[found[2]]
    raise ValueError(f"a duration with its unit, like 20ms, 1.5s or 2m, in place of {text!r}")


def number(text: str) -> float:
    """A finite number.

    Raises:
        ValueError: Says what was expected.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"a number in place of {text!r}")
    return value
