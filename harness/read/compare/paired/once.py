"""The judgement about runs that were taken already: one look, since no more runs will come.

Runs that were taken in turn are pairs, as in a trial. Others are two groups: the machine's speed may have
changed between them, and nothing in their figures tells. So a time counts as slower only beyond what a shared
machine was seen to change by itself, and never as the same; counts do not depend on speed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, stdev

from ....record.comparison.pairs import Measured, RunPair
from ...units import plural
from .answer import Answer, Judged
from .course import COUNTS_FROM
from .estimate import DRAWS, Estimate, estimate
from .judged import hidden, judged, not_measured, share
from .measure import Measure, MeasureGate
from .pair import log_ratios, sides
from .spending import CONFIRMING, LOOKS, SCREENING
from .trial import Trial

LEAST = LOOKS[0]
# As low as that of a trial with its confirmation.
RISK = SCREENING.alarm * CONFIRMING.alarm
MISS = SCREENING.miss
# The same program took 44 or 75 ms on a shared machine.
DRIFT = math.log(1.75)
APART = "the runs were not taken in turn, and the machine's speed may have changed between them"


@dataclass(frozen=True, slots=True)
class _Seen:
    measure: Measure
    found: Estimate | None
    drift: float
    base: Sequence[float]
    head: Sequence[float]


def judge_pairs(pairs: Sequence[RunPair], measures: Sequence[Measure]) -> Trial:
    """Judge runs that were taken in turn."""
    seen = []
    for measure in measures:
        ratios = [ratio for pair in pairs if (ratio := log_ratios(pair, measure)) is not None]
        is_whole = len(ratios) == len(pairs) >= LEAST
        seen.append(
            _Seen(measure, estimate(tuple(ratios)) if is_whole else None, 0.0, *sides(pairs, measure))
        )
    return _trial(seen, len(pairs))


def judge_groups(base: Sequence[Measured], head: Sequence[Measured], measures: Sequence[Measure]) -> Trial:
    """Judge runs of two groups, of which nothing is known about their order."""
    seen = []
    for measure in measures:
        values = [[run[measure.name] for run in runs if measure.name in run] for runs in (base, head)]
        logs = [[_log(value, measure) for value in group] for group in values]
        is_whole = min(map(len, values)) >= LEAST and all(map(math.isfinite, logs[0] + logs[1]))
        drift = DRIFT if measure.is_time else 0.0
        seen.append(_Seen(measure, _of_groups(*logs) if is_whole else None, drift, *values))
    return _trial(seen, min(len(base), len(head)))


def _log(value: float, measure: Measure) -> float:
    amount = value + measure.floor
    if amount <= 0:
        return math.nan
    return -math.log(amount) if measure.more_is_better else math.log(amount)


def _of_groups(base: Sequence[float], head: Sequence[float]) -> Estimate:
    draw = random.Random(0)
    drawn = [
        median(draw.choices(head, k=len(head))) - median(draw.choices(base, k=len(base)))
        for _ in range(DRAWS)
    ]
    least = min(len(base), len(head))
    return Estimate(median(head) - median(base), stdev(drawn) * math.sqrt(least / (least - 1)), least)


def _trial(seen: Sequence[_Seen], pairs: int) -> Trial:
    answers: dict[str, Answer] = {}
    for is_shown in (False, True):
        family = [one for one in seen if (one.measure.gate == MeasureGate.SHOWN) == is_shown and one.found]
        left = len(family)
        for one in sorted(family, key=lambda one: -one.found.strength() if one.found else 0.0):
            answers[one.measure.name] = _answer(one, RISK / left)
            left -= answers[one.measure.name].differs
    judged = tuple(_judged(one, answers.get(one.measure.name, Answer.UNKNOWN)) for one in seen)
    return Trial(judged, pairs, wanted=None, most=pairs)


def _answer(seen: _Seen, risk: float) -> Answer:
    found, limit = seen.found, math.log1p(seen.measure.limit)
    assert found is not None
    if found.center >= COUNTS_FROM * limit and found.low(risk) > seen.drift:
        return Answer.SLOWER
    if found.center <= -COUNTS_FROM * limit and found.high(risk) < -seen.drift:
        return Answer.FASTER
    if not seen.drift and found.high(MISS) < limit and found.low(MISS) > -limit:
        return Answer.SAME
    return Answer.UNKNOWN


def _judged(seen: _Seen, answer: Answer) -> Judged:
    found, measure = seen.found, seen.measure
    return judged(
        measure,
        answer,
        found,
        base=seen.base,
        head=seen.head,
        why=_why(seen, answer),
        visible=share(found.high(RISK) - found.center + seen.drift) if found else None,
        pairs=min(len(seen.base), len(seen.head)),
        change=_change(seen),
    )


def _change(seen: _Seen) -> float | None:
    if not seen.base or not seen.head:
        return None
    logs = [_log(median(values), seen.measure) for values in (seen.base, seen.head)]
    return share(logs[1] - logs[0]) if all(map(math.isfinite, logs)) else None


def _why(seen: _Seen, answer: Answer) -> str:
    if missing := not_measured(seen.base, seen.head):
        return missing
    least = min(len(seen.base), len(seen.head))
    if least == 1:
        return "one run of each: nothing tells how much runs of the same program differ"
    if seen.found is None:
        return f"{plural(least, 'run')} of each: {LEAST} are needed, each with this figure"
    if answer == Answer.UNKNOWN and seen.drift:
        return APART
    if answer == Answer.UNKNOWN:
        return hidden(share(seen.found.high(RISK) - seen.found.center), seen.measure.limit)
    return ""
