"""How often this machine's noise alone would be called a difference.

Where a program was compared with itself, each pair could as well have come with its sides exchanged. So every
drawing of pairs with the sides exchanged at random is one more comparison of the program with itself.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ....record.comparison.pairs import Neighbours, RunPair
from .answer import Answer
from .measure import Measure, MeasureGate
from .trial import judge

COMPARISONS = 100


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """Comparisons of a program with itself, drawn from real pairs, and what was said about one measure."""

    name: str
    comparisons: int
    slower: int
    faster: int
    unknown: int
    pairs: int  # that a comparison took, median


def false_alarms(
    pairs: Sequence[RunPair], measures: Sequence[Measure], *, comparisons: int = COMPARISONS
) -> tuple[FalseAlarms, ...]:
    """What would be said about each measure, by comparisons drawn from *pairs* of a program with itself."""
    deciding = [replace(measure, gate=MeasureGate.DECIDES) for measure in measures]
    return tuple(_of_measure(pairs, measure, comparisons) for measure in deciding)


def _of_measure(pairs: Sequence[RunPair], measure: Measure, comparisons: int) -> FalseAlarms:
    draw = random.Random(0)
    said: list[Answer] = []
    took: list[int] = []
    for _ in range(comparisons):
        drawn: list[RunPair] = []
        trial = judge(drawn, [measure])
        while (wanted := trial.wanted) is not None:
            drawn += (_exchanged(draw.choice(pairs), draw) for _ in range(wanted - len(drawn)))
            trial = judge(drawn, [measure])
        said.append(trial.judged[0].answer)
        took.append(trial.pairs)
    return FalseAlarms(
        measure.name,
        comparisons,
        said.count(Answer.SLOWER),
        said.count(Answer.FASTER),
        said.count(Answer.UNKNOWN),
        sorted(took)[len(took) // 2],
    )


def _exchanged(pair: RunPair, draw: random.Random) -> RunPair:
    if draw.random() < 0.5:
        return pair
    return RunPair(tuple(Neighbours(both.head, both.base) for both in pair.neighbours))
