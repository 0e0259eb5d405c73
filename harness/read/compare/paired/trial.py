"""The whole judgement: pairs of runs in, an answer for each measure out, or how many more pairs it takes.

Every measure is looked at after 5, 8, 12, 18 and 25 pairs. What looks slower or faster must show the same in
as many fresh pairs, and only then is it said. There the measures share the risk of a false alarm by Holm's
method: the strongest evidence is tested as if all were to be rejected, the next as one fewer.

Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6
(1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....record.comparison.pairs import RunPair
from ...units import percent, plural
from .answer import Answer, Judged
from .course import COUNTS_FROM, Course
from .estimate import Estimate
from .judged import CONFIDENCE_RISK, hidden, judged, not_measured, share
from .measure import Measure, MeasureGate
from .pair import log_ratios, sides
from .spending import LOOKS, MOST, SCREENING


@dataclass(frozen=True, slots=True)
class Trial:
    """What the pairs so far say."""

    judged: tuple[Judged, ...]
    pairs: int
    wanted: int | None  # pairs in all until the next look; null if what is gated is settled
    most: int  # pairs in all that it takes at most


def judge(
    pairs: Sequence[RunPair], measures: Sequence[Measure], *, ended: str = "", leaves_settled: bool = False
) -> Trial:
    """Judge every measure by the pairs so far.

    Args:
        pairs: In the order in which they were taken.
        measures: Those that decide, or raise a suspicion that counts, tell how many pairs are wanted.
        ended: Why no more pairs will come although they are wanted; "" if they will.
        leaves_settled: A measure is not taken any more once it is settled. Without this, one that ends before
            the pairs do cannot be judged, whatever its own pairs say.
    """
    courses = {measure.name: Course(measure, _ratios(pairs, measure)) for measure in measures}
    for is_shown in (False, True):
        # What is only shown takes no part of the risk of what is gated.
        family = [one for one in courses.values() if (one.measure.gate == MeasureGate.SHOWN) == is_shown]
        _follow(family, len(pairs), leaves_settled=leaves_settled)
    open_courses = [one for one in courses.values() if len(one.pairs) == len(pairs) and _is_open(one)]
    return Trial(
        judged=tuple(_judged(course, pairs, ended) for course in courses.values()),
        pairs=len(pairs),
        wanted=min((course.next_look() for course in open_courses), default=None),
        most=max((course.most() for course in open_courses), default=len(pairs)),
    )


def _is_open(course: Course) -> bool:
    """Whether pairs are taken for it."""
    if course.answer is not None or course.measure.gate == MeasureGate.SHOWN:
        return False
    return course.measure.gate == MeasureGate.DECIDES or course.suspected == Answer.SLOWER


def _ratios(pairs: Sequence[RunPair], measure: Measure) -> list[tuple[float, ...]]:
    """The log-ratios up to the first pair that has none: a measure that comes and goes cannot be judged."""
    found = []
    for pair in pairs:
        ratios = log_ratios(pair, measure)
        if ratios is None:
            break
        found.append(ratios)
    return found


def _follow(family: list[Course], count: int, *, leaves_settled: bool) -> None:
    """Look at each measure whenever it is due, as it was done while the pairs came."""
    for pairs in range(LOOKS[0], count + 1):
        # One that was settled and left is still a part of the family.
        whole_family = [
            course
            for course in family
            if len(course.pairs) == count
            or (leaves_settled and (course.answer is not None or len(course.pairs) >= pairs))
        ]
        due = [course for course in whole_family if course.is_due(pairs)]
        for course in sorted(due, key=lambda one: -one.stage(pairs).strength()):
            rejected = sum(one.answer is not None and one.answer.differs for one in whole_family)
            course.look(pairs, tests=len(whole_family) - rejected)


def _judged(course: Course, pairs: Sequence[RunPair], ended: str) -> Judged:
    measure, answer = course.measure, course.answer or Answer.UNKNOWN
    base, head = sides(pairs, measure)
    lacking = len(course.pairs) < len(pairs) and course.answer is None
    best = None if lacking else course.best()
    fresh = best.pairs if best is not None and answer.differs else 0
    return judged(
        measure,
        answer,
        best,
        base=base,
        head=head,
        why=_lacking(base, head) if lacking else _why(course, best, ended),
        visible=_visible(best) if best is not None else None,
        pairs=len(course.pairs),
        fresh=fresh,
        settled=lacking or course.answer is not None,
    )


def _visible(found: Estimate) -> float:
    """The smallest change that these pairs could tell from none."""
    return share(found.high(SCREENING.alarm_at(MOST)) - found.center)


def _lacking(base: Sequence[float], head: Sequence[float]) -> str:
    return not_measured(base, head) or "not measured in every run, or 0 in some"


def _why(course: Course, best: Estimate | None, ended: str) -> str:
    measure = course.measure
    if best is None:
        return ended or "more pairs are needed"
    visible, limit = _visible(best), percent(measure.limit)
    if course.answer is None:
        if ended:
            return ended
        if not _is_open(course):
            return "no more pairs were taken for it alone"
        return "not confirmed yet" if course.suspected else "more pairs are needed"
    if course.answer == Answer.UNKNOWN:
        if course.suspected:
            pairs = plural(course.at - course.since, "fresh pair")
            return f"the first {course.since} pairs said {course.suspected}, {pairs} did not confirm it"
        if visible >= measure.limit * COUNTS_FROM:
            return hidden(visible, measure.limit)
        return f"near the limit of {limit}"
    if course.answer == Answer.SAME and best.low(CONFIDENCE_RISK) > 0:
        return f"a little slower, by less than {limit}"
    if course.answer == Answer.SAME and best.high(CONFIDENCE_RISK) < 0:
        return f"a little faster, by less than {limit}"
    return ""
