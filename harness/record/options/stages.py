"""The stages of a load: how its rate changes in time, each a table under ``load.stages``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import pi, sin
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field

from .table import NotNegative, Positive, ScenarioTable, wrong

# No machine lets one Python process send more.
MOST_PER_S = 50_000

# A wave is drawn with so many straight pieces per period: its rate is off by at most 0.03 % of the swing.
PIECES = 64


def _sendable(rate_per_s: float) -> float:
    if rate_per_s > MOST_PER_S:
        note = "The load driver is one process, and sends some thousands of requests per second."
        raise wrong(f"expected at most {MOST_PER_S:,} requests per second, got {rate_per_s:,.10g}", note=note)
    return rate_per_s


Rate = Annotated[Positive, AfterValidator(_sendable)]
# A load may pause.
StageRate = Annotated[NotNegative, AfterValidator(_sendable)]


class RatePiece(NamedTuple):
    """A part of the load's time in which its rate changes evenly."""

    for_s: float
    from_per_s: float
    to_per_s: float


class ConstantStage(ScenarioTable):
    """The same rate all the time."""

    shape: Literal["constant"]
    for_s: Positive
    """Duration of the stage."""
    rate_per_s: StageRate
    """Requests per second."""

    def pieces(self, before_per_s: float) -> Iterator[RatePiece]:
        yield RatePiece(self.for_s, self.rate_per_s, self.rate_per_s)


class RampStage(ScenarioTable):
    """Evenly from one rate to another."""

    shape: Literal["ramp"]
    for_s: Positive
    """Duration of the stage."""
    from_per_s: StageRate | None = None
    """Requests per second at its beginning; by default those at the end of the stage before."""
    to_per_s: StageRate
    """Requests per second at its end."""

    def pieces(self, before_per_s: float) -> Iterator[RatePiece]:
        yield RatePiece(self.for_s, _or(self.from_per_s, before_per_s), self.to_per_s)


class StepsStage(ScenarioTable):
    """From one rate to another in steps of equal length."""

    shape: Literal["steps"]
    for_s: Positive
    """Duration of the stage."""
    from_per_s: StageRate | None = None
    """Requests per second of the first step; by default those at the end of the stage before."""
    to_per_s: StageRate
    """Requests per second of the last step."""
    steps: Annotated[int, Field(ge=2, le=1000)] = 5
    """Number of steps."""

    def pieces(self, before_per_s: float) -> Iterator[RatePiece]:
        first = _or(self.from_per_s, before_per_s)
        for step in range(self.steps):
            rate = first + (self.to_per_s - first) * step / (self.steps - 1)
            yield RatePiece(self.for_s / self.steps, rate, rate)


class SpikeStage(ScenarioTable):
    """A rate that jumps up in the middle of the stage, and back."""

    shape: Literal["spike"]
    for_s: Positive
    """Duration of the stage."""
    rate_per_s: StageRate
    """Requests per second before and after the spike."""
    peak_per_s: StageRate
    """Requests per second in the spike."""
    peak_s: Positive
    """Duration of the spike."""

    def pieces(self, before_per_s: float) -> Iterator[RatePiece]:
        peak_s = min(self.peak_s, self.for_s)
        calm = RatePiece((self.for_s - peak_s) / 2, self.rate_per_s, self.rate_per_s)
        yield from (calm, RatePiece(peak_s, self.peak_per_s, self.peak_per_s), calm)


class SineStage(ScenarioTable):
    """A rate that swings around a mean, as over the hours of a day."""

    shape: Literal["sine"]
    for_s: Positive
    """Duration of the stage."""
    rate_per_s: StageRate
    """Mean requests per second."""
    swing_per_s: Positive
    """How far the rate rises above the mean and falls below it; it does not fall below 0."""
    period_s: Positive
    """Duration of one swing up and down."""

    def pieces(self, before_per_s: float) -> Iterator[RatePiece]:
        count = max(1, round(self.for_s / self.period_s * PIECES))
        for n in range(count):
            yield RatePiece(self.for_s / count, self._rate(n / count), self._rate((n + 1) / count))

    def _rate(self, share: float) -> float:
        swing = self.swing_per_s * sin(2 * pi * share * self.for_s / self.period_s)
        return max(0.0, self.rate_per_s + swing)


Stage = Annotated[
    ConstantStage | RampStage | StepsStage | SpikeStage | SineStage, Field(discriminator="shape")
]


def pieces(stages: Iterable[Stage]) -> Iterator[RatePiece]:
    """The stages one after the other; before the first, the rate is 0."""
    rate_per_s = 0.0
    for stage in stages:
        for piece in stage.pieces(rate_per_s):
            yield piece
            rate_per_s = piece.to_per_s


def _or(rate_per_s: float | None, before_per_s: float) -> float:
    return before_per_s if rate_per_s is None else rate_per_s
