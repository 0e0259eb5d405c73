"""When the pairs are looked at, and how much risk of error each look may take.

Looking often at growing data finds a difference sooner or later where there is none. So the whole risk of a
stage is spent over its looks, in proportion to the pairs that came since the look before: the sum of what is
spent bounds the risk, however the looks depend on each other.

Source of spending in proportion to the data: Lan and DeMets, "Discrete Sequential Boundaries for Clinical
Trials", Biometrika 70 (1983).
"""

from __future__ import annotations

from dataclasses import dataclass

# Pairs at each look.
LOOKS = (5, 8, 12, 18, 25)
MOST = LOOKS[-1]


@dataclass(frozen=True, slots=True)
class Stage:
    """The risks of one stage, all one-sided and over all of its looks."""

    alarm: float  # to see a difference where there is none
    miss: float  # to see none where there is one as large as the limit

    def alarm_at(self, pairs: int, tests: int = 1) -> float:
        """What the look at *pairs* may take, shared by *tests* measures."""
        return self.alarm * _share(pairs) / tests

    def miss_at(self, pairs: int) -> float:
        """The same of the risk to miss a difference."""
        return self.miss * _share(pairs)


# A difference must be seen twice, in pairs that have nothing in common, so the risk of a false alarm is the
# product of both: 1.5 %, shared by all measures.
SCREENING = Stage(alarm=0.10, miss=0.025)
CONFIRMING = Stage(alarm=0.15, miss=0.025)


def _share(pairs: int) -> float:
    before = max((look for look in LOOKS if look < pairs), default=0)
    return (pairs - before) / MOST
