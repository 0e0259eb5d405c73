"""What is said about a measure in the end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .measure import MeasureGate


class Answer(StrEnum):
    """The four verdicts."""

    SLOWER = "slower"  # by more than noise, and enough to matter; seen twice
    FASTER = "faster"
    SAME = "no difference"  # none that matters
    UNKNOWN = "cannot tell"

    @property
    def differs(self) -> bool:
        """Whether it claims a difference."""
        return self in (Answer.SLOWER, Answer.FASTER)


class Lacking(StrEnum):
    """Why there is nothing to compare, if only one side has a figure at all."""

    NEW = "new"  # the base does not have it
    MISSING = "missing"  # the head does not have it any more


@dataclass(frozen=True, slots=True)
class Judged:
    """The answer about one measure, and what it rests on. Shares are of the base: 0.05 is 5 % worse."""

    name: str
    unit: str
    gate: MeasureGate
    limit: float  # the smallest slowdown that matters, as a share
    answer: Answer
    why: str  # where the answer is not plain from the figures
    base: float | None  # medians of all runs; null if a side has none
    head: float | None
    change: float | None  # how much worse the head is, as a share; below 0 it is better
    low: float | None
    high: float | None  # with *low*, the interval that holds the change with 95 %
    visible: float | None  # the smallest change that could be told from this machine's noise
    pairs: int  # that the figures rest on
    fresh: int  # of these, the pairs that confirmed it
    settled: bool = True  # false while more pairs may change the answer
    lacking: Lacking | None = None


def whole(judged: tuple[Judged, ...]) -> Answer:
    """The verdict about all that is gated: the worst of the answers."""
    deciding = [one.answer for one in judged if one.gate == MeasureGate.DECIDES]
    gated = [one.answer for one in judged if one.gate.counts]
    if Answer.SLOWER in gated:
        return Answer.SLOWER
    if Answer.UNKNOWN in deciding or not deciding:
        return Answer.UNKNOWN
    return Answer.FASTER if Answer.FASTER in deciding else Answer.SAME
