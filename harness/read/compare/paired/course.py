"""One measure on its way to an answer: seen in a first set of pairs, then confirmed by fresh ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from .answer import Answer
from .estimate import Estimate, LogRatios, estimate
from .measure import Measure
from .spending import CONFIRMING, LOOKS, MOST, SCREENING

# A difference counts from this share of the limit on: the estimate of one that is as large as the limit is
# below the limit in half of all cases.
COUNTS_FROM = 0.6


@dataclass(slots=True)
class Course:
    """What the pairs looked at so far say."""

    measure: Measure
    pairs: Sequence[LogRatios] = field(repr=False)  # all of them, also those not looked at yet
    since: int = 0  # the first pair of the present stage
    suspected: Answer | None = None  # what the first stage saw
    answer: Answer | None = None  # None: not settled
    at: int = 0  # the pairs at the last look

    def is_due(self, pairs: int) -> bool:
        """Whether there is a look after that many *pairs*."""
        return self.answer is None and pairs - self.since in LOOKS

    def next_look(self) -> int:
        """The pairs that the next look needs, in all."""
        return self.since + next(look for look in LOOKS if self.since + look > self.at)

    def most(self) -> int:
        """The pairs that it takes at most, in all."""
        return self.since + MOST * (2 if self.suspected is None else 1)

    def stage(self, pairs: int) -> Estimate:
        """From the pairs of the present stage."""
        return estimate(tuple(self.pairs[self.since : pairs]))

    def look(self, pairs: int, *, tests: int) -> None:
        """Look after that many *pairs*.

        Args:
            pairs: In all; `is_due` says so.
            tests: How many measures the risk of a false alarm is shared by.
        """
        self.at = pairs
        seen = self.stage(pairs)
        if self.suspected is None:
            found = _seen(seen, self.measure.limit, SCREENING.alarm_at(seen.pairs))
            if found is not None:
                self.suspected, self.since = found, pairs
            elif _is_same(seen, self.measure.limit, SCREENING.miss_at(seen.pairs)):
                self.answer = Answer.SAME
            elif seen.pairs == MOST:
                self.answer = Answer.UNKNOWN
            return
        if _seen(seen, self.measure.limit, CONFIRMING.alarm_at(seen.pairs, tests)) == self.suspected:
            self.answer = self.suspected
        elif seen.pairs == MOST or _is_same(seen, self.measure.limit, CONFIRMING.miss_at(seen.pairs)):
            everything = estimate(tuple(self.pairs[:pairs]))
            is_same = _is_same(everything, self.measure.limit, CONFIRMING.miss)
            self.answer = Answer.SAME if is_same else Answer.UNKNOWN

    def best(self) -> Estimate | None:
        """What to tell: of a difference, the fresh pairs; those that raised the suspicion exaggerate it."""
        if self.answer is not None and self.answer.differs:
            return self.stage(self.at)
        return estimate(tuple(self.pairs)) if len(self.pairs) > 1 else None


def _seen(found: Estimate, limit: float, risk: float) -> Answer | None:
    least = COUNTS_FROM * math.log1p(limit)
    if found.center >= least and found.low(risk) > 0:
        return Answer.SLOWER
    if found.center <= -least and found.high(risk) < 0:
        return Answer.FASTER
    return None


def _is_same(found: Estimate, limit: float, risk: float) -> bool:
    return found.high(risk) < math.log1p(limit) and found.low(risk) > -math.log1p(limit)
