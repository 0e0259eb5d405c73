"""How a host fails: at random, in periods, or by being slow at first.

| text               | means                                                                              |
|--------------------|------------------------------------------------------------------------------------|
| `never`            | it never fails                                                                     |
| `chance:0.02`      | one restart in fifty fails                                                         |
| `flapping:60s,5s`  | it is down for 5 s of every 60 s, despite restarts; each host at a different time   |
| `slow:30s,4`       | in its first 30 s, a restart takes four times as long                              |

Several are separated by spaces: `chance:0.02 flapping:60s,5s`.
"""

from __future__ import annotations

from dataclasses import dataclass

from .latency import number, seconds

EXPECTED = "never, or any of chance:0.02, flapping:60s,5s and slow:30s,4 separated by spaces"


@dataclass(frozen=True, slots=True)
class Flapping:
    """Down for a part of every period."""

    period_s: float
    down_s: float

    def __post_init__(self) -> None:
        if not 0 < self.down_s < self.period_s:
            raise ValueError("a down time shorter than its period, like flapping:60s,5s")

    def down_for_s(self, age_s: float) -> float:
        """Seconds until it is up again at this age; 0 when it is up."""
        return max(0.0, self.down_s - age_s % self.period_s)


@dataclass(frozen=True, slots=True)
class SlowStart:
    """Slow at first."""

    for_s: float
    times: float

    def __post_init__(self) -> None:
        if self.times < 1:
            raise ValueError("a slow start with a factor of at least 1")

    def slowness(self, age_s: float) -> float:
        """The factor for a restart's time."""
        return self.times if age_s < self.for_s else 1.0


@dataclass(frozen=True, slots=True)
class FailureModel:
    """All failures of a host; none by default."""

    chance: float = 0.0
    flapping: Flapping | None = None
    slow_start: SlowStart | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.chance <= 1:
            raise ValueError("a chance from 0 to 1")


NEVER = FailureModel()


def parse_failure(text: str) -> FailureModel:
    """Parse a text like ``chance:0.02 flapping:60s,5s``.

    Raises:
        ValueError: The message says what was expected.
    """
    if text.strip() == "never":
        return NEVER
    found: dict[str, tuple[str, ...]] = {}
    for term in text.split():
        name, _, text = term.partition(":")
        if name in found:
            raise ValueError(f"only one {name}")
        found[name] = tuple(text.split(","))
    chance, flapping, slow = 0.0, None, None
    for name, values in found.items():
        match name, values:
            case "chance", (probability,):
                chance = number(probability)
            case "flapping", (period, down):
                flapping = Flapping(seconds(period), seconds(down))
            case "slow", (for_, times):
                slow = SlowStart(seconds(for_), number(times))
            case _:
                raise ValueError(EXPECTED)
    if not found:
        raise ValueError(EXPECTED)
    return FailureModel(chance, flapping, slow)
