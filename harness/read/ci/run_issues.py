"""The issues of a run's report: why it failed, and its findings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...stacks.cause import Cause
from ..blocks.advice import advice
from ..blocks.blocker import Blocker, is_at
from ..finding import Finding, Level
from ..judge.outcome import OutcomeName
from ..report import Report
from ..units import duration, plural
from .issue import Issue, identified
from .rule import RULES
from .source_tree import SourceTree

_NOT_JUDGED = {
    OutcomeName.INVALID: "Invalid measurement",
    OutcomeName.ABORTED: "Aborted",
    OutcomeName.CRASHED: "The target crashed",
}


def run_issues(document: Report, repository: SourceTree) -> tuple[Issue, ...]:
    """What decides the exit status first, then the findings in their order: worst first."""
    return identified((*_decisive(document, repository), *_found(document, repository)), repository)


def scenario_path(document: Report, repository: SourceTree) -> str:
    """The scenario's file in the repository; "" without one."""
    return repository.path(document.run.scenario_file)


def _decisive(document: Report, repository: SourceTree) -> Iterator[Issue]:
    run, scenario = document.run, scenario_path(document, repository)
    if (title := _NOT_JUDGED.get(run.outcome)) is not None:
        yield Issue("run", Level.ERROR, title, run.verdict, subject=title)
    for one in document.expectations:
        if not one.passed:
            title = f"Not met: {one.condition}" if one.value is not None else f"Not measured: {one.condition}"
            line = one.line if scenario else None
            sentence = f"{one.sentence}. {run.verdict}" if run.outcome == OutcomeName.FAILED else one.sentence
            file = scenario if line else ""
            yield Issue("expectation", Level.ERROR, title, sentence, file, line, subject=one.name)


def _found(document: Report, repository: SourceTree) -> Iterator[Issue]:
    places = {(place.file, place.line, place.sentence): place for place in document.blockers}
    for finding in document.findings:
        place = places.get((finding.file or "", finding.line or 0, finding.message))
        if place is not None and place.cause == Cause.DESCHEDULED:
            continue  # the line is innocent, whichever it was when the machine was busy
        file = repository.path(finding.file or "", finding.line)
        issue = Issue(
            finding.rule,
            finding.level,
            RULES[finding.rule].title,
            _message(finding, file),
            file,
            finding.line if file else None,
        )
        yield _of_place(issue, document, place) if place is not None else issue


def _message(finding: Finding, file: str) -> str:
    """The finding as sentences, with the place where the host cannot show it."""
    where = f" (at {finding.file}:{finding.line})" if finding.file and not file else ""
    cost = f" Cost: {finding.cost.words}." if finding.cost is not None else ""
    following = f" {finding.next}" if finding.next else ""
    return f"{finding.message[:1].upper()}{finding.message[1:]}{where}.{cost}{following}"


def _of_place(issue: Issue, document: Report, place: Blocker) -> Issue:
    """The issue about a line that blocks, with what it waited for and who waited.

    What a fault of the scenario has planted there is a note: nothing of the code is wrong.
    """
    planted = all(block.fault for block in document.blocks if is_at(block, place))
    label = advice(place.cause, place.waits_for).label
    through = f" through {place.library}" if place.library else ""
    waited = f"; tasks waited {plural(place.victims_total, 'time')}" if place.victims_total else ""
    span = f' in span "{place.spans[0]}"' if place.spans else ""
    where = f" (at {place.where})" if not issue.file and place.where else ""
    message = (
        f"{place.title}{where}{through} held the loop {plural(place.count, 'time')} for up to "
        f"{duration(place.max_ms)}, {duration(place.total_ms)} in total ({label}){span}{waited}."
    )
    if place.hint:
        message += f" {place.hint}"
    if place.help:
        message += f" See {place.help}."
    return replace(
        issue,
        level=Level.NOTE if planted else issue.level,
        title=f"Loop blocked by {place.title}",
        message=message,
        subject=f"{place.function} {place.cause}",
    )
