"""A decision as JUnit XML: a case for the comparison itself, and one for each figure.

What is slower is a failure, what cannot be told an error; what does not decide is skipped, and turns nothing
red or green.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ...ci import junit
from ...ci.junit import Case, CaseResult, Suite
from ..paired.answer import Answer, Judged
from ..paired.measure import MeasureGate
from . import figure
from .decision import Decision
from .issues import is_told
from .terminal import lines, why


def render(decided: Decision) -> str:
    """One suite, called by what the head is, which is the same in each run of a job."""
    started = datetime.now(UTC) - timedelta(seconds=decided.took_s)
    properties = {
        "comparison": decided.id,
        "verdict": decided.verdict,
        "base": decided.base.what,
        "base commit": decided.base.commit,
        "head": decided.head.what,
        "head commit": decided.head.commit,
        "pairs": str(decided.pairs),
    }
    suite = Suite(
        name=f"comparison of {decided.head.what}",
        cases=tuple(_cases(decided)),
        took_s=decided.took_s,
        started=started.isoformat(),
        properties=tuple(properties.items()),
        output="\n".join((decided.sentence, *why(decided), *lines(decided))),
    )
    return junit.document([suite])


def _cases(decided: Decision) -> Iterator[Case]:
    whole = "it can be told whether the head is slower"
    if is_told(decided):
        yield Case("comparison", whole, CaseResult.PASSED)
    else:
        message = f"interrupted: {decided.sentence}" if decided.interrupted else decided.sentence
        yield Case("comparison", whole, CaseResult.ERROR, message)
    for one in decided.measures if decided.false_alarms is None else ():
        result = _result(one)
        told = f"{one.answer}: {figure.difference(one)}" if one.change is not None else figure.verdict(one)
        yield Case("figure", one.name, result, f"{told}: {one.why}" if one.why else told)


def _result(one: Judged) -> CaseResult:
    if not one.gate.counts:
        return CaseResult.SKIPPED
    if one.answer == Answer.UNKNOWN:
        return CaseResult.ERROR if one.gate == MeasureGate.DECIDES else CaseResult.SKIPPED
    return CaseResult.FAILURE if one.answer == Answer.SLOWER else CaseResult.PASSED
