"""The report as Markdown, for a comment on a pull request or a job's summary."""

from __future__ import annotations

from collections.abc import Iterator

from .. import measurement_cost
from ..blocks.advice import advice
from ..calls.call import Call
from ..ci.markdown import Section, code, fitted, text
from ..compare import summary
from ..compare.comparison import ChangeVerdict, Comparison
from ..compare.headline import headline
from ..figures.hang import HangExit
from ..figures.load import sentence as load_line
from ..figures.loop import sentence as loop_line
from ..finding import Finding, Level
from ..formats import ReportFormat
from ..judge.health_check import HealthCheck
from ..judge.outcome import OutcomeName
from ..judge.rulebook import first_trouble
from ..report import Report
from ..spans.segment import Part
from ..spans.span import SpanName
from ..units import duration, measured, percent, plural, printable

# Maximum letters of a verdict, of a finding, and of a commit.
SENTENCE, COMMIT = 2_000, 13
CHECKS = 50
PLACES = 10
HINTS = 3
FINDINGS = 10
CALLS = 10
ROOTS = 5
HUNG = 30


def render(document: Report) -> str:
    """The verdict and the checks in one table; below them everything else, folded."""
    return fitted(_head(document), _sections(document))


def _head(document: Report) -> Iterator[str]:
    run = document.run
    yield f"## {text(run.verdict, SENTENCE)}"
    yield ""
    if document.difference is not None:
        yield from (f"**{text(headline(document.difference), SENTENCE)}**", "")
    facts = (text(run.scenario), f"{run.duration_s:.1f} s", f"Python {text(run.python)}")
    yield " · ".join((f"**{run.outcome}**", *facts, *((code(run.commit[:COMMIT]),) if run.commit else ())))
    first = first_trouble(document.findings)
    if first is not None:
        yield from ("", f"**{_trouble(first)}**")
    yield from _checks(document)


def _checks(document: Report) -> Iterator[str]:
    """The expectations, missed ones first, and the health checks that are out of bounds."""
    expected = sorted(document.expectations, key=lambda judged: judged.passed)
    unhealthy = [check for check in document.audits if not check.passed]
    if not expected and not unhealthy:
        return
    yield from ("", "| | expected | value |", "|---|---|---|")
    for judged in expected[:CHECKS]:
        sign = "✓" if judged.passed else "✗" if judged.value is not None else "?"
        yield f"| {sign} | {code(judged.condition)} | {text(judged.found)} |"
    if (more := len(expected) - CHECKS) > 0:
        missed = sum(not judged.passed for judged in expected[CHECKS:])
        yield f"| … | {plural(more, 'more expectation')} | {missed:,} of them not met |"
    for check in unhealthy:
        yield f"| ⚠ | {_health(check)} | {measured(check.value, check.unit)} |"


def _health(check: HealthCheck) -> str:
    return f"{text(check.title)}: at most {measured(check.limit, check.unit)}"


def _sections(document: Report) -> Iterator[Section]:
    """The details, most important first: the last ones are left out if there is no room."""
    run, blocks = document.run, document.blocks
    if run.outcome == OutcomeName.CRASHED and run.target.last_lines:
        lines = (f"In {code(run.target.log)}:", "", *(f"- {code(line)}" for line in run.target.last_lines))
        yield Section("The last lines of its output", lines)
    if document.blockers:
        title = (
            f"What blocked the loop: {plural(len(document.blockers), 'place')}, {plural(len(blocks), 'time')}"
        )
        yield Section(title, tuple(_blockers(document)))
    for hang in document.hangs:
        if hang.exit is not None:
            title = f"Process {hang.pid} before it was ended by {printable(hang.exit.signal)}"
            yield Section(title, tuple(_ended(hang.exit)))
    if document.difference is not None:
        yield Section("Changes against the other run", tuple(_changes(document.difference)))
    grave = [f for f in document.findings if f.level != Level.NOTE and f.rule not in ("blocks", "calls")]
    if grave:
        yield Section(plural(len(grave), "finding"), tuple(_findings(document, grave)))
    if document.calls:
        title = f"Synchronous calls on the loop: {plural(len(document.calls), 'place')}"
        yield Section(title, tuple(_calls(document.calls)))
    if document.roots:
        yield Section("Where the time of spans goes", tuple(_waits(document.roots)))
    yield Section("Figures", tuple(_figures(document)))
    if healthy := [check for check in document.audits if check.passed]:
        lines = tuple(f"- {_health(check)}; {measured(check.value, check.unit)}" for check in healthy)
        yield Section(f"{plural(len(healthy), 'health check')} passed", lines)


def _blockers(document: Report) -> Iterator[str]:
    yield "| blocked by | where | cause | times | longest | total | waited |"
    yield "|---|---|---|--:|--:|--:|--:|"
    for place in document.blockers[:PLACES]:
        label = advice(place.cause, place.waits_for).label
        where = code(place.where) if place.where else "–"
        where += f" through {code(place.library)}" if place.library else ""
        yield (
            f"| {code(place.title)} | {where} | {label} | {place.count:,} | "
            f"{duration(place.max_ms)} | {duration(place.total_ms)} | {place.victims_total:,} |"
        )
    if (more := len(document.blockers) - PLACES) > 0:
        yield from ("", f"… and {plural(more, 'more place')}.")
    yield ""
    for place in filter(lambda place: place.hint, document.blockers[:HINTS]):
        yield f"- {code(place.function)}: {text(place.hint)} See {code(place.help)}"


def _findings(document: Report, grave: list[Finding]) -> Iterator[str]:
    first = first_trouble(document.findings)
    for found in grave[:FINDINGS]:
        yield f"- {found.level}: {text(found.message, SENTENCE)}"
        if found.weight and found is not first:
            yield f"  - {_trouble(found)}"
    if len(grave) > FINDINGS:
        yield f"- and {len(grave) - FINDINGS} more"


def _trouble(found: Finding) -> str:
    """What it cost, and what to do about it."""
    cost = f"Cost: {text(found.cost.words)}." if found.cost is not None else ""
    return f"{cost} Next: {text(found.next)}".strip() if found.next else cost


def _ended(kept: HangExit) -> Iterator[str]:
    """The tasks and threads of a process before it was ended."""
    if kept.tasks:
        yield from ("| tasks | coroutine | waits at |", "|--:|---|---|")
        for group in kept.tasks[:HUNG]:
            yield f"| {group.count:,} | {code(group.coroutine)} | {code(group.where)} |"
        if (more := len(kept.tasks) - HUNG) > 0:
            yield from ("", f"… and {plural(more, 'more place')}.")
        yield ""
    yield from (f"- thread {text(one.thread)}: {code(one.where)}" for one in kept.threads[:HUNG])


def _changes(between: Comparison) -> Iterator[str]:
    verdict = f"{between.base_outcome}: {text(between.base_verdict)}"
    yield from (f"**Against {code(between.base_id)}**, {verdict}", "")
    for line in summary.lines(between, code):
        said = f"{line.sign} {line.text}".strip()
        yield f"- **{said}**" if line.verdict == ChangeVerdict.WORSE else f"- {said}"
    yield from ("", f"_{summary.NOTE}_")


def _calls(calls: tuple[Call, ...]) -> Iterator[str]:
    yield from ("| call on the loop | made by | times | total | longest | |", "|---|---|--:|--:|--:|---|")
    for call in calls[:CALLS]:
        made_by = f"{code(call.function)} {code(call.where)}" if call.function else "other places"
        standing = "new" if call.new else "allowed" if call.allowed else "known" if call.known else ""
        yield (
            f"| {code(call.call)} | {made_by} | {call.count:,} | {duration(call.total_ms)} | "
            f"{duration(call.max_ms)} | {standing} |"
        )
    if (more := len(calls) - CALLS) > 0:
        yield from ("", f"… and {plural(more, 'more call')}.")


def _waits(roots: tuple[SpanName, ...]) -> Iterator[str]:
    yield from (f"| mean time by state | spans | {' | '.join(Part)} |", f"|---|--:|{'--:|' * len(Part)}")
    for root in roots[:ROOTS]:
        parts = (duration(getattr(root, f"{part}_ms")) for part in Part)
        yield f"| {code(root.name)} | {root.decomposed:,} | {' | '.join(parts)} |"


def _figures(document: Report) -> Iterator[str]:
    loop, load = document.loop, document.load
    yield f"- Loop: {loop_line(loop)}"
    if load is not None:
        yield f"- Load: {load_line(load)}"
        for tag, part in load.tag.items():
            yield f"  - {code(tag)}: {load_line(part)}"
    if document.console is not None:
        use, share = document.console, document.console.cpu_ratio
        cpu = "" if share is None else f"; {percent(share)} of the CPU time"
        yield (
            f"- Console: {plural(use.connections, 'connection')}, {use.refused:,} refused, "
            f"{plural(sum(use.commands.values()), 'command')}, {plural(len(use.actions), 'action')}{cpu}"
        )
    yield f"- Overhead: {text(measurement_cost.line(document))}"


FORMAT = ReportFormat("md", extension="md", render=render)
