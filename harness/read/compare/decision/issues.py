"""What the hosts of CI show of a decision: what is slower, what cannot be told, and why it is slower."""

from __future__ import annotations

from collections.abc import Iterator

from ...ci.issue import Issue, identified
from ...ci.source_tree import SourceTree
from ...finding import Level
from ..paired.answer import Answer, Judged
from ..paired.measure import MeasureGate
from ..why.reason import ReasonFound
from . import figure
from .decision import Decision


def decision_issues(decided: Decision, repository: SourceTree) -> tuple[Issue, ...]:
    """What decides the exit status first, then the reasons, then what is better."""
    found = (*_undecided(decided), *_judged(decided, repository), *_reasons(decided, repository))
    levels = list(Level)
    return identified(sorted(found, key=lambda one: levels.index(one.level)), repository)


def is_told(decided: Decision) -> bool:
    """Whether it is known if the head is slower, whatever it is."""
    return decided.verdict != Answer.UNKNOWN and not decided.interrupted


def _undecided(decided: Decision) -> Iterator[Issue]:
    """The comparison as a whole, where none of its figures says what is wrong."""
    deciding = [one for one in decided.measures if _is_untold(one)]
    if decided.interrupted or (not is_told(decided) and (decided.false_alarms is not None or not deciding)):
        title = "interrupted" if decided.interrupted else str(Answer.UNKNOWN)
        yield Issue("comparison", Level.WARNING, title, decided.sentence, subject=title)


def _judged(decided: Decision, repository: SourceTree) -> Iterator[Issue]:
    if decided.false_alarms is not None:
        return  # the base against itself: what looks slower there is the noise
    for one in decided.measures:
        # A benchmark is named by the file that it stands in.
        file = repository.path(one.name.partition("::")[0]) if "::" in one.name else ""
        if one.gate == MeasureGate.SHOWN:
            continue
        if one.answer == Answer.SLOWER:
            title, text = f"slower: {one.name}", figure.difference(one)
            yield Issue("slower", Level.ERROR, title, text, file, subject=one.name)
        elif _is_untold(one):
            title, text = f"cannot tell: {one.name}", f"{one.name}: {one.why or 'more pairs are needed'}"
            yield Issue("comparison", Level.WARNING, title, text, file, subject=one.name)
        elif one.gate == MeasureGate.ACCEPTED:
            title, text = f"accepted: {one.name}", f"{one.name}: {one.why}"
            yield Issue("accepted", Level.NOTE, title, text, file, subject=one.name)
        elif one.answer == Answer.FASTER:
            title, text = f"faster: {one.name}", figure.difference(one)
            yield Issue("faster", Level.NOTE, title, text, file, subject=one.name)


def _is_untold(one: Judged) -> bool:
    return one.answer == Answer.UNKNOWN and one.gate == MeasureGate.DECIDES


def _reasons(decided: Decision, repository: SourceTree) -> Iterator[Issue]:
    for reason in decided.reasons:
        title = "why it is slower" + (", changed here" if reason.changed else "")
        file = repository.path(reason.file, reason.line or None)
        text = reason.text if file or not reason.file else f"{reason.text} (at {_place(reason)})"
        line = reason.line if file and reason.line else None
        yield Issue("why", Level.WARNING, title, text, file, line, subject=reason.kind)


def _place(reason: ReasonFound) -> str:
    return f"{reason.file}:{reason.line}" if reason.line else reason.file
