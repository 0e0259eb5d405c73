"""A finding: one sentence of a rule about the run, for people and for CI."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .units import duration, plural


class Level(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class CostUnit(StrEnum):
    """What the service has lost by a trouble."""

    STOOD_S = "seconds stood still"  # of a loop, a process, or work that nobody did
    BURNT_S = "processor seconds burnt"
    LOST = "pieces of work lost"  # requests, messages, tasks: they will never be served
    MEGABYTES = "megabytes grown"
    SPANS = "spans cut off from their trace"  # the service works, but nobody sees what it does


# How many seconds in which the service stands still weigh as much as one of each unit. A lost piece of work
# is a user who got no answer; memory hurts only when there is a lot of it.
_WEIGHT = {
    CostUnit.STOOD_S: 1.0,
    CostUnit.BURNT_S: 0.5,
    CostUnit.LOST: 1.0,
    CostUnit.MEGABYTES: 0.05,
    CostUnit.SPANS: 0.01,
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a trouble has cost, as far as it is known."""

    amount: float
    unit: CostUnit

    @property
    def weight(self) -> float:
        """The amount in seconds in which a service stands still, so that different troubles compare."""
        return self.amount * _WEIGHT[self.unit]

    @property
    def words(self) -> str:
        """``7.00 s stood still``, ``12 pieces of work lost``."""
        match self.unit:
            case CostUnit.STOOD_S:
                return f"{duration(self.amount * 1000)} stood still"
            case CostUnit.BURNT_S:
                return f"{duration(self.amount * 1000)} of a processor burnt"
            case CostUnit.LOST:
                return f"{plural(round(self.amount), 'piece')} of work lost"
            case CostUnit.MEGABYTES:
                return f"{self.amount:,.0f} MB grown"
            case CostUnit.SPANS:
                return f"{plural(round(self.amount), 'span')} cut off from the trace"


@dataclass(frozen=True, slots=True)
class Finding:
    """What *rule* found, and the line to blame where there is one."""

    rule: str  # the name of its module in `rules/`
    level: Level
    message: str
    file: str | None = None
    line: int | None = None
    invalid: bool = False  # because of this the measurement cannot be judged; see `judge/outcome.py`
    cost: Cost | None = None  # of a trouble of the service; the costliest is the verdict
    next: str = ""  # what to do about it, one sentence
    # The rules whose findings are symptoms of this one: they stand below it, whatever they cost.
    explains: tuple[str, ...] = ()

    @property
    def weight(self) -> float:
        """What a warning or error cost; 0 for what cost nothing that is known."""
        return self.cost.weight if self.cost is not None and self.level != Level.NOTE else 0.0
