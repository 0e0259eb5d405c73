"""The summary of a run on the terminal: the verdict first, then the figures behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from . import measurement_cost
from .blocks.advice import advice
from .blocks.blocker import Blocker
from .calls.call import Call
from .compare import summary
from .compare.comparison import ChangeVerdict, Comparison
from .compare.headline import headline
from .figures.load import sentence as load_line
from .figures.loop import sentence as loop_line
from .finding import Finding, Level
from .judge.outcome import OutcomeName
from .judge.rulebook import first_trouble
from .report import Report
from .spans.segment import Part
from .spans.span import SpanName
from .terminal_layout import FigureRow, FigureTable, LabelledLine, lines
from .terminal_layout import Part as Shown
from .units import duration, plural, printable

T = TypeVar("T")

PLACES = 8
HINTS = 3
FINDINGS = 8
ROOTS = 5
_COLOURS = {
    OutcomeName.PASSED: "green",
    OutcomeName.FAILED: "red",
    OutcomeName.INVALID: "yellow",
    OutcomeName.ABORTED: "yellow",
    OutcomeName.CRASHED: "red",
    OutcomeName.OBSERVED: "cyan",
}
_CHANGE_COLOURS = {ChangeVerdict.BETTER: "green", ChangeVerdict.WORSE: "bold red"}


def show(
    document: Report,
    console: Console,
    *,
    report: Path | None = None,
    brief: bool = False,
    whole: bool = False,
) -> None:
    """Print the summary, as wide as the terminal.

    Args:
        report: The path of the full report.
        brief: Only the first line.
        whole: All rows and findings, not the first few.
    """
    width = console.width if console.is_terminal else None
    for part in islice(_parts(document, report, whole=whole), 1 if brief else None):
        for line in lines(part, width):
            console.print(line, soft_wrap=True)


def _parts(document: Report, report: Path | None, *, whole: bool) -> Iterator[Shown]:
    run = document.run
    yield Text.assemble(
        (f"{run.outcome} ", f"bold {_COLOURS[run.outcome]}"),
        (printable(run.verdict.removeprefix("Failed: ")), "bold"),  # once is enough in one line
    )
    first = first_trouble(document.findings)
    if first is not None:
        yield from _trouble(first)
    if document.difference is not None:
        yield Text(printable(headline(document.difference)), style="bold")
    yield from _last_lines(document)
    new = [call for call in document.calls or () if call.new]
    places, roots, findings = (None, None, None) if whole else (PLACES, ROOTS, FINDINGS)
    yield from _section(_blockers, document.blockers, places, "more place")
    yield from _section(_calls, new, places, "more place")
    yield from _section(_waits, document.roots, roots, "more name")
    if document.difference is not None:
        yield Text()
        yield from _changes(document.difference)
    yield Text()
    if document.blockers:
        yield from _hints(document.blockers)
    yield from _figures(document)
    yield from _expectations(document)
    notable = [found for found in document.findings if found.rule not in ("blocks", "calls")]
    for found in notable[:findings]:
        style = {Level.ERROR: "red", Level.WARNING: "yellow"}.get(found.level, "dim")
        yield _row(found.level, Text(printable(found.message)), style)
        if found.weight and found is not first:
            yield from _trouble(found)
    if more := len(notable[findings:]) if findings is not None else 0:
        yield _row("", Text(f"and {plural(more, 'more finding')}", style="dim"))
    yield _row("overhead", Text(measurement_cost.line(document), style="dim"))
    if report is not None:
        yield LabelledLine("report", Text(printable(str(report))), whole=True)


def _trouble(found: Finding) -> Iterator[LabelledLine]:
    """What it cost, and what to do about it."""
    if found.cost is not None:
        yield _row("cost", Text(found.cost.words))
    if found.next:
        yield _row("next", Text(printable(found.next)))


def _section(
    table: Callable[[Sequence[T]], FigureTable], rows: Sequence[T], room: int | None, noun: str
) -> Iterator[Shown]:
    if rows:
        yield Text()
        yield table(rows[:room])
    if room is not None and (more := len(rows) - room) > 0:
        yield Text(f"  and {plural(more, noun)}", style="dim")


def _last_lines(document: Report) -> Iterator[Text]:
    """What a target that crashed said last, and where the rest is."""
    target = document.run.target
    if document.run.outcome == OutcomeName.CRASHED and target.last_lines:
        yield Text()
        yield from (Text(f"  {printable(line)}", style="dim") for line in target.last_lines)
        yield Text(f"  all of its output: {printable(target.log)} in the run's folder")


def _blockers(places: Sequence[Blocker]) -> FigureTable:
    rows = (
        FigureRow(
            (Text(printable(place.title), style="bold"), Text(printable(_circumstances(place)))),
            (f"{place.count:,}", duration(place.max_ms), f"{place.victims_total:,}"),
        )
        for place in places
    )
    return FigureTable("blocked by", ("times", "longest", "waited"), tuple(rows), figures_first=True)


def _circumstances(place: Blocker) -> str:
    """How and where it blocked: ``sleeping at cart.py:41 in span checkout``."""
    text = advice(place.cause, place.waits_for).label
    if place.where:
        text += f" at {place.where}"
    if place.library:
        text += f" through {place.library}"
    if place.spans:
        text += f" in span {', '.join(place.spans[:2])}"
    return text


def _hints(places: tuple[Blocker, ...]) -> Iterator[LabelledLine]:
    """The hints for the worst places; several places with the same hint share a line."""
    functions: dict[tuple[str, str], list[str]] = {}
    for place in filter(lambda place: place.hint, places[:HINTS]):
        functions.setdefault((place.hint, place.help), []).append(place.function)
    for (hint, where), names in functions.items():
        yield _row("hint", Text(printable(f"{', '.join(names)}: {hint} See {where}")))


def _calls(calls: Sequence[Call]) -> FigureTable:
    rows = (
        FigureRow(
            (Text(printable(f"{call.call} <- {call.function}"), style="bold"), Text(printable(call.where))),
            (f"{call.count:,}", duration(call.total_ms), duration(call.max_ms)),
        )
        for call in calls
    )
    return FigureTable("called on the loop", ("times", "total", "longest"), tuple(rows), figures_first=True)


def _waits(roots: Sequence[SpanName]) -> FigureTable:
    shown = [part for part in Part if any(getattr(root, f"{part}_ms") for root in roots)]
    rows = []
    for root in roots:
        parts = (getattr(root, f"{part}_ms") for part in shown)
        figures = f"{root.decomposed:,}", *(duration(part) if part else "" for part in parts)
        rows.append(FigureRow((Text(printable(root.name), style="bold"),), figures))
    return FigureTable("mean time by state", ("spans", *shown), tuple(rows))


def _changes(between: Comparison) -> Iterator[LabelledLine]:
    yield _row(
        "against", Text(printable(f"{between.base_id}, {between.base_outcome}: {between.base_verdict}"))
    )
    for line in summary.lines(between, printable):
        yield _row(line.sign, Text(line.text), _CHANGE_COLOURS.get(line.verdict, "dim"))
    yield _row("", Text(summary.NOTE, style="dim"))


def _figures(document: Report) -> Iterator[LabelledLine]:
    load = document.load
    if load is not None:
        yield _row("load", Text(load_line(load)))
        for tag, part in load.tag.items():
            yield _row("", Text(f"{tag}: {load_line(part)}"))
    if document.loop.ran_s:
        yield _row("loop", Text(loop_line(document.loop)))
    if document.calls is not None:
        yield _row("calls", Text(_call_figures(document.calls)))


def _call_figures(calls: tuple[Call, ...]) -> str:
    new, allowed = sum(call.new for call in calls), sum(call.allowed for call in calls)
    known = sum(call.known and not call.allowed for call in calls)
    return f"synchronous on the loop: {plural(new, 'new place')}, {known:,} known, {allowed:,} allowed"


def _expectations(document: Report) -> Iterator[LabelledLine]:
    for judged in document.expectations:
        sign, style = ("✓", "green") if judged.passed else ("✗", "bold red")
        yield _row(sign, Text(printable(f"{judged.condition}: {judged.found}")), style)


def _row(label: str, text: Text, style: str = "dim") -> LabelledLine:
    return LabelledLine(label, text, style)
