"""The search for the highest rate at which expectations are met: pure, from the outcomes of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

# The search ends when the rate that fails is so close to the one that passes, or after so many runs.
CLOSE, MOST_RUNS = 1.1, 14
LEAST_PER_S, MOST_PER_S = 0.5, 50_000


@dataclass(frozen=True, slots=True)
class RateStep:
    """One run of the search."""

    rate_per_s: float
    outcome: str
    exit_status: int
    by_the_driver: bool  # which could not send as much as that
    p50_ms: float | None
    p99_ms: float | None
    busy_ratio: float | None  # of the loop, while requests came
    lag_p99_ms: float | None
    verdict: str
    limited_by: str  # "" if the expectations were met
    folder: str

    @property
    def passed(self) -> bool:
        """Whether all expectations were met."""
        return self.exit_status == 0

    @property
    def failed(self) -> bool:
        """Whether this was too much: an expectation was not met, or the target died of it."""
        return self.exit_status in (1, 4) or self.by_the_driver


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the search has found."""

    passes_per_s: float | None  # the highest rate that met the expectations; null if none did
    fails_per_s: float | None  # the lowest that did not; null if all did
    limited_by: str  # what limited the service there; "" if nothing did
    by_the_driver: bool  # so the service may take more
    steps: tuple[RateStep, ...]

    @property
    def exit_status(self) -> int:
        """0 if the capacity was found, 1 if no rate meets the expectations, 3 if it cannot be told."""
        last = self.steps[-1]
        if not (last.passed or last.failed):
            return last.exit_status
        if self.by_the_driver or (self.passes_per_s is not None and self.fails_per_s is None):
            return 3
        return 1 if self.passes_per_s is None else 0


def next_rate(steps: Sequence[RateStep]) -> float | None:
    """The rate of the next run; `None` if the search is over."""
    if len(steps) >= MOST_RUNS:
        return None
    if not (steps[-1].passed or steps[-1].failed) or steps[-1].by_the_driver:
        return None
    low, high = _bracket(steps)
    if low is None:
        return high / 2 if high is not None and high / 2 >= LEAST_PER_S else None
    if high is None:
        return low * 2 if low * 2 <= MOST_PER_S else None
    return sqrt(low * high) if high / low > CLOSE else None


def _bracket(steps: Sequence[RateStep]) -> tuple[float | None, float | None]:
    """The highest rate that passed below the lowest that failed, and that one."""
    high = min((step.rate_per_s for step in steps if step.failed), default=None)
    passed = [step.rate_per_s for step in steps if step.passed]
    return max((rate for rate in passed if high is None or rate < high), default=None), high


def capacity_of(steps: Sequence[RateStep]) -> Capacity:
    """What the runs have shown, of which there is at least one."""
    low, high = _bracket(steps)
    limiting = next((step for step in steps if step.failed and step.rate_per_s == high), None)
    return Capacity(
        passes_per_s=low,
        fails_per_s=high,
        limited_by=limiting.limited_by if limiting is not None else "",
        by_the_driver=limiting is not None and limiting.by_the_driver,
        steps=tuple(steps),
    )
