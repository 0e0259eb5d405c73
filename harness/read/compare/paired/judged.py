"""An answer with its figures, and the words for what hides one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from ...units import percent
from .answer import Answer, Judged, Lacking
from .estimate import Estimate
from .measure import Measure

CONFIDENCE_RISK = 0.025


def judged(
    measure: Measure,
    answer: Answer,
    found: Estimate | None,
    *,
    base: Sequence[float],
    head: Sequence[float],
    why: str,
    visible: float | None,
    pairs: int,
    change: float | None = None,
    fresh: int = 0,
    settled: bool = True,
) -> Judged:
    """The answer about a measure, from what was *found* and the values of both sides.

    The other arguments are as in `Judged`; *change* is for where nothing was found.
    """
    return Judged(
        name=measure.name,
        unit=measure.unit,
        gate=measure.gate,
        limit=measure.limit,
        answer=answer,
        why=why,
        base=median(base) if base else None,
        head=median(head) if head else None,
        change=share(found.center) if found is not None else change,
        low=share(found.low(CONFIDENCE_RISK)) if found is not None else None,
        high=share(found.high(CONFIDENCE_RISK)) if found is not None else None,
        visible=visible,
        pairs=pairs,
        fresh=fresh,
        settled=settled,
        lacking=_lacking(base, head),
    )


def share(log_ratio: float) -> float:
    """As a share, rounded: further digits would be noise. A ratio beyond all measure stays one."""
    return round(math.expm1(min(log_ratio, 50.0)), 5)


def _lacking(base: Sequence[float], head: Sequence[float]) -> Lacking | None:
    if bool(base) == bool(head):
        return None
    return Lacking.NEW if head else Lacking.MISSING


def not_measured(base: Sequence[float], head: Sequence[float]) -> str:
    """Which sides have no value; "" if both have."""
    missing = [side for side, values in (("base", base), ("head", head)) if not values]
    return f"not measured in the {' and the '.join(missing)}" if missing else ""


def hidden(visible: float, limit: float) -> str:
    """That noise hides a change as large as the limit."""
    return f"noise hides changes below {percent(visible)} here, and {percent(limit)} was to be seen"
