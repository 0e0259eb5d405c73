"""A trend on the terminal: a dot for each run, a line for each level, and what changed where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from rich.console import Console
from rich.text import Text

from ..read.units import plural, printable, quantity
from .table import when, width_of
from .trend import MetricTrend, sentence

_ROWS = 9
# A dot for every so many columns, where there is room.
_SPREAD = 3
_WIDEST = 100
_DOT, _LEVEL, _CUT = "•", "─", "┊"


def show(trends: Sequence[MetricTrend], console: Console) -> None:
    """Each chart with its scale, and a sentence for each change."""
    for number, trend in enumerate(trends):
        if number:
            console.print()
        for line in lines(trend, width_of(console) or _WIDEST):
            console.print(line, soft_wrap=not console.is_terminal)


def lines(trend: MetricTrend, width: int) -> Iterator[Text]:
    """The chart in lines of at most *width* cells, and sentences that a terminal wraps."""
    values = [point.value for point in trend.points]
    yield Text.assemble(
        (f"{trend.key}", "bold"),
        f" of {printable(trend.scenario)}: {trend.meaning}; {plural(len(values), 'run')}",
    )
    low, high = min(values), max(values)
    rows = _ROWS if low < high else 1
    labels = {0: quantity(high, trend.unit), rows - 1: quantity(low, trend.unit)}
    margin = max(map(len, labels.values())) + 1
    cells = _cells(trend, low, high, rows, max(10, min(width, _WIDEST) - margin - 1))
    for number, row in enumerate(cells):
        text = Text(f"{labels.get(number, ''):>{margin}}", "dim")
        for sign in "".join(row).rstrip():
            text.append(sign, {_LEVEL: "cyan", _CUT: "yellow"}.get(sign, ""))
        yield text
    ends = [when(trend.points[n].started) for n in (0, -1)]
    room = max(len(" ".join(ends)), len(cells[0])) - len(ends[0])
    yield Text(f"{'':>{margin}}{ends[0]}{ends[1]:>{room}}", "dim")
    for change in trend.changes:
        yield Text.assemble(("changed ", "yellow"), printable(sentence(trend, change)))
    if trend.unknown:
        yield Text(trend.unknown, "dim")
    elif not trend.changes:
        yield Text("no change point", "dim")


def _cells(trend: MetricTrend, low: float, high: float, rows: int, columns: int) -> list[list[str]]:
    """The chart's signs, from above; where there are more runs than columns, a dot is a median."""
    values = [point.value for point in trend.points]
    count = len(values)
    spread = max(1, min(_SPREAD, columns // count))
    used = min(columns, count * spread)

    def column(place: float) -> int:
        return min(used - 1, int(place * used / count))

    def row(value: float) -> int:
        return round((high - value) / (high - low) * (rows - 1)) if high > low else 0

    cells = [[" "] * used for _ in range(rows)]
    for level in trend.levels:
        for n in range(column(level.start), column(level.end - 1) + 1):
            cells[row(level.value)][n] = _LEVEL
    for change in trend.changes:
        for line in cells:
            line[max(0, column(change.at) - 1)] = _CUT
    shown: dict[int, list[float]] = {}
    for place, value in enumerate(values):
        shown.setdefault(column(place), []).append(value)
    for n, several in shown.items():
        cells[row(median(several))][n] = _DOT
    return cells
