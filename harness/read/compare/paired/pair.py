"""What pairs of runs say about one measure: the ratios of neighbours, and nothing else.

A machine whose speed changes for seconds at a time spoils the ratio of the two runs between which it changed,
and no other one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ....record.comparison.pairs import Neighbours, RunPair
from .measure import Measure


def log_ratios(pair: RunPair, measure: Measure) -> tuple[float, ...] | None:
    """The logarithm of head / base of each two neighbours, positive where the head is worse.

    `None` if a run lacks the measure, or if a value has no ratio to another one.
    """
    sign = -1 if measure.more_is_better else 1
    found = [_log_ratio(both, measure) for both in pair.neighbours]
    known = tuple(sign * ratio for ratio in found if ratio is not None)
    return known if len(known) == len(found) else None


def sides(pairs: Sequence[RunPair], measure: Measure) -> tuple[list[float], list[float]]:
    """The values of a measure on both sides, without the runs that lack it."""
    every = [both for pair in pairs for both in pair.neighbours]
    base = [both.base[measure.name] for both in every if measure.name in both.base]
    head = [both.head[measure.name] for both in every if measure.name in both.head]
    return base, head


def _log_ratio(both: Neighbours, measure: Measure) -> float | None:
    if measure.name not in both.base or measure.name not in both.head:
        return None
    base, head = (side[measure.name] + measure.floor for side in (both.base, both.head))
    if base == head:
        return 0.0  # also where both are 0
    if not (0 < base < math.inf and 0 < head < math.inf):
        return None
    return math.log(head / base)
