"""Exact counts of what an operation makes its loop do.

The machine's speed does not change them, so a count is worse if every run of the head has more than any run
of the base. With ten runs of each side, chance alone gives that once in 180,000 comparisons of a program with
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from statistics import median

from ...record.comparison.benchmarks import counted_name
from ...record.comparison.pairs import RunPair
from .paired.answer import Answer, Judged
from .paired.course import COUNTS_FROM
from .paired.judged import judged, not_measured
from .paired.measure import LIMIT, Measure, MeasureGate
from .paired.pair import sides
from .paired.spending import LOOKS
from .paired.trial import Trial

# Turns depend on when files and timers are ready, too.
COUNTED = ("tasks", "callbacks")
UNIT = "count"
# Of each side: those of the pairs at the first look.
RUNS = 2 * LOOKS[0]


def with_counts(
    trial: Trial, pairs: Sequence[RunPair], benchmarks: Iterable[str], *, limit: float = LIMIT
) -> Trial:
    """The judgement with the counts of those *benchmarks* that are not just the same in all runs."""
    counts = (Measure(counted_name(name, what), UNIT, limit) for name in benchmarks for what in COUNTED)
    return replace(trial, judged=(*trial.judged, *(one for count in counts for one in _told(pairs, count))))


def _told(pairs: Sequence[RunPair], count: Measure) -> Iterator[Judged]:
    base, head = sides(pairs, count)
    if len({*base, *head}) < 2 and bool(base) == bool(head):
        return
    answer, why = _answer(base, head, count.limit)
    change = median(head) / median(base) - 1 if base and head and median(base) else None
    found = judged(
        # An alarm: a count that the loop does not show must not decide.
        replace(count, gate=MeasureGate.ALARMS),
        answer,
        None,
        base=base,
        head=head,
        why=why,
        visible=0.0,
        pairs=min(len(base), len(head)) // 2,
        change=change,
    )
    if base and head and min(base) > 0:
        found = replace(found, low=min(head) / max(base) - 1, high=max(head) / min(base) - 1)
    yield found


def _answer(base: Sequence[float], head: Sequence[float], limit: float) -> tuple[Answer, str]:
    if missing := not_measured(base, head):
        return Answer.UNKNOWN, missing
    if min(len(base), len(head)) < RUNS:
        return Answer.UNKNOWN, "more pairs are needed"
    matters = COUNTS_FROM * limit * median(base)
    if min(head) > max(base) and median(head) - median(base) >= matters:
        return Answer.SLOWER, ""
    if max(head) < min(base) and median(base) - median(head) >= matters:
        return Answer.FASTER, ""
    every = [*base, *head]
    if max(every) - min(every) < limit * median(base):
        return Answer.SAME, ""
    return Answer.UNKNOWN, "it differs from run to run"
