"""One thing that is compared, and what a change of it means."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# The smallest slowdown that matters, where nobody says otherwise.
LIMIT = 0.05


class MeasureGate(StrEnum):
    """What a measure has to do with the verdict."""

    DECIDES = "decides"  # pairs are taken until it is settled
    ALARMS = "alarms"  # a slowdown counts, but that it cannot be told does not
    ACCEPTED = "accepted"  # would decide, but only one side has it, and that was allowed
    SHOWN = "shown"

    @property
    def counts(self) -> bool:
        """Whether a slowdown makes the verdict."""
        return self in (MeasureGate.DECIDES, MeasureGate.ALARMS)


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of every run, of which less is better unless it says otherwise."""

    name: str  # ``cpu_ms``, a key of `Measured`
    unit: str  # as in `units.quantity`
    limit: float = LIMIT  # the smallest slowdown that matters, as a share
    gate: MeasureGate = MeasureGate.DECIDES
    # Added to both sides. A figure that may be 0 has no ratio without it, and one block more than none is
    # not infinitely many.
    floor: float = 0.0
    more_is_better: bool = False

    @property
    def is_time(self) -> bool:
        """Whether it depends on the machine's speed."""
        return self.unit in ("ms", "us", "s") or self.more_is_better
