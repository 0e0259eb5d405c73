"""The report as Markdown, for a comment on a pull request or a job's summary."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .. import measurement_cost
from ..blocks.advice import advice
from ..calls.call import Call
from ..compare import summary
from ..compare.comparison import ChangeVerdict, Comparison
from ..compare.headline import headline
from ..figures.loop import sentence as loop_line
from ..finding import Level
from ..formats import ReportFormat
from ..judge.outcome import OutcomeName
from ..report import Report
from ..spans.segment import Part
from ..spans.span import SpanName
from ..units import duration, percent, plural, printable

PLACES = 10
HINTS = 3
FINDINGS = 10
CALLS = 10
ROOTS = 5


def render(document: Report) -> str:
    """The verdict, the expectations, what blocked, and the figures."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Report) -> Iterator[str]:
    run = document.run
    yield f"## {_text(run.verdict)}"
    yield ""
    if document.difference is not None:
        yield from (f"**{_text(headline(document.difference))}**", "")
    yield f"**{run.outcome}** · {_text(run.scenario)} · {run.duration_s:.1f} s · Python {_text(run.python)}"
    if run.outcome == OutcomeName.CRASHED and run.target.last_lines:
        yield from ("", f"The last lines of its output, {_code(run.target.log)}:", "")
        yield from (f"- {_code(line)}" for line in run.target.last_lines)
    if document.expectations:
        yield from ("", "| | expected | value |", "|---|---|---|")
        for judged in document.expectations:
            sign = "✓" if judged.passed else "✗"
            yield f"| {sign} | {_code(judged.condition)} | {_text(judged.found)} |"
    if document.blockers:
        yield from ("", "| blocked by | where | cause | times | longest | total | waited |")
        yield "|---|---|---|--:|--:|--:|--:|"
        for place in document.blockers[:PLACES]:
            label = advice(place.cause, place.waits_for).label
            where = _code(place.where) + (f" through {_code(place.library)}" if place.library else "")
            yield (
                f"| {_code(place.title)} | {where} | {label} | {place.count:,} | "
                f"{duration(place.max_ms)} | {duration(place.total_ms)} | {place.victims_total:,} |"
            )
        if (more := len(document.blockers) - PLACES) > 0:
            yield from ("", f"… and {plural(more, 'more place')}.")
        yield ""
        for place in filter(lambda place: place.hint, document.blockers[:HINTS]):
            yield f"- {_code(place.function)}: {_text(place.hint)} See {_code(place.help)}"
    if document.difference is not None:
        yield from _changes(document.difference)
    if document.calls:
        yield from _calls(document.calls)
    if document.roots:
        yield from _waits(document.roots)
    yield ""
    yield from _figures(document)
    grave = [f for f in document.findings if f.level != Level.NOTE and f.rule not in ("blocks", "calls")]
    if grave:
        yield ""
        yield from (f"- {found.level}: {_text(found.message)}" for found in grave[:FINDINGS])
        if len(grave) > FINDINGS:
            yield f"- and {len(grave) - FINDINGS} more"


def _changes(between: Comparison) -> Iterator[str]:
    verdict = f"{between.base_outcome}: {_text(between.base_verdict)}"
    yield from ("", f"**Against {_code(between.base_id)}**, {verdict}", "")
    for line in summary.lines(between, _code):
        text = f"{line.sign} {line.text}".strip()
        yield f"- **{text}**" if line.verdict == ChangeVerdict.WORSE else f"- {text}"
    yield from ("", f"_{summary.NOTE}_")


def _calls(calls: tuple[Call, ...]) -> Iterator[str]:
    yield from ("", "| call on the loop | made by | times | total | longest | |", "|---|---|--:|--:|--:|---|")
    for call in calls[:CALLS]:
        made_by = f"{_code(call.function)} {_code(call.where)}" if call.function else "other places"
        standing = "new" if call.new else "allowed" if call.allowed else "known" if call.known else ""
        yield (
            f"| {_code(call.call)} | {made_by} | {call.count:,} | {duration(call.total_ms)} | "
            f"{duration(call.max_ms)} | {standing} |"
        )
    if (more := len(calls) - CALLS) > 0:
        yield from ("", f"… and {plural(more, 'more call')}.")


def _waits(roots: tuple[SpanName, ...]) -> Iterator[str]:
    yield from ("", f"| mean time by state | spans | {' | '.join(Part)} |", f"|---|--:|{'--:|' * len(Part)}")
    for root in roots[:ROOTS]:
        parts = (duration(getattr(root, f"{part}_ms")) for part in Part)
        yield f"| {_code(root.name)} | {root.decomposed:,} | {' | '.join(parts)} |"


def _figures(document: Report) -> Iterator[str]:
    loop, load = document.loop, document.load
    yield f"- Loop: {loop_line(loop)}"
    if load is not None:
        latency = load.latency_ms
        yield (
            f"- Load: {load.sent:,} sent of {load.offered:,}, {load.completed:,} completed, "
            f"{load.failed:,} failed; latency p50 {duration(latency.p50)}, p99 {duration(latency.p99)}"
        )
    if document.console is not None:
        use, share = document.console, document.console.cpu_ratio
        cpu = "" if share is None else f"; {percent(share)} of the CPU time"
        yield (
            f"- Console: {plural(use.connections, 'connection')}, {use.refused:,} refused, "
            f"{plural(sum(use.commands.values()), 'command')}, {plural(len(use.actions), 'action')}{cpu}"
        )
    yield f"- Overhead: {_text(measurement_cost.line(document))}"


def _text(text: str) -> str:
    """*text* with all markup of Markdown and HTML escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|~@!])", r"\\\1", printable(text))


def _code(text: str) -> str:
    """*text* as code inside a table; it can end neither the code nor the cell."""
    return "`" + printable(text).replace("`", "'").replace("|", "¦") + "`"


FORMAT = ReportFormat("md", extension="md", render=render)
