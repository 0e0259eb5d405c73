"""The list of runs, that of comparisons and the answer to a query, as tables that fit a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ..read.judge.outcome import OutcomeName
from ..read.units import duration, percent, printable
from .row import Cell, number
from .selection import UNFINISHED

_STYLES = {
    OutcomeName.PASSED: "green",
    OutcomeName.FAILED: "bold red",
    OutcomeName.CRASHED: "bold red",
    OutcomeName.INVALID: "yellow",
    OutcomeName.ABORTED: "yellow",
    UNFINISHED: "dim",
}
_GAP = 2
# As much of a commit as tells it from others.
_COMMIT = 9
# The time, the scenario and the verdict have room from these widths on. Below, an id has the first two in it.
_WIDE, _ROOMY = 125, 160
# A text that is cut has at least this much.
_LEAST = 8


def width_of(console: Console) -> int | None:
    """How wide a line may be; `None` without a terminal, where a line is a row."""
    return console.width if console.is_terminal else None


def show_runs(runs: Sequence[Mapping[str, Cell]], console: Console) -> None:
    """One line for each run."""
    width = width_of(console)
    is_wide, is_roomy = width is None or width >= _WIDE, width is None or width >= _ROOMY
    figures = ("blocks", *(["longest"] if is_wide else []), "lag p99", "latency")
    heading = [*(["when", "scenario"] if is_wide else []), "run", "outcome", "commit", *figures]
    rows = []
    for run in runs:
        outcome = str(run["outcome"] or UNFINISHED)
        known: dict[str, str | Text] = {
            "when": when(run["started"]),
            "scenario": _text(run["scenario"]),
            "run": _text(run["id"]),
            "outcome": Text(printable(outcome), _STYLES.get(outcome, "")),
            "commit": f"{_text(run['commit'])[:_COMMIT]}{'+' if run['dirty'] else ''}",
            "blocks": "–" if run["blocks_count"] is None else f"{run['blocks_count']:,.0f}",
            "longest": duration(number(run["loop_lag_ms_max"])),
            "lag p99": duration(number(run["loop_lag_ms_p99"])),
            "latency": duration(number(run["load_latency_ms_p99"])),
            "verdict": _text(run["verdict"]),
        }
        rows.append([known[name] for name in (*heading, *(["verdict"] if is_roomy else []))])
    cut = "verdict" if is_roomy else "run"
    _show([*heading, *(["verdict"] if is_roomy else [])], rows, console, cut=cut, right=figures)


def show_comparisons(rows: Sequence[Mapping[str, Cell]], console: Console) -> None:
    """One line for each metric of each comparison."""
    heading = ("comparison", "metric", "answer", "change", "interval", "base", "head")
    lines = [
        [
            _text(row["id"]),
            _text(row["metric"]),
            _text(row["answer"]),
            _signed(row["change"]),
            f"{_signed(row['low'])} to {_signed(row['high'])}" if row["low"] is not None else "–",
            *(_text(row[f"{side}_commit"])[:_COMMIT] or _text(row[side]) for side in ("base", "head")),
        ]
        for row in rows
    ]
    _show(heading, lines, console, cut="comparison", right=("change", "interval"))


def show_answer(columns: Sequence[str], rows: Sequence[Sequence[object]], console: Console) -> None:
    """What a typed query has found; the widest column is cut, if they do not fit."""
    lines = [["–" if value is None else printable(str(value)) for value in row] for row in rows]
    names = [printable(name) for name in columns]
    numbers = {name for n, name in enumerate(names) if any(isinstance(row[n], int | float) for row in rows)}
    widest = max(range(len(names)), key=lambda n: max([len(names[n]), *(len(line[n]) for line in lines)]))
    _show(names, lines, console, cut=names[widest], right=tuple(numbers))


def when(started: object) -> str:
    """The time of this machine's zone, to the minute."""
    assert isinstance(started, datetime)  # a row has it, or is none
    return f"{started.replace(tzinfo=UTC).astimezone():%Y-%m-%d %H:%M}"


def _show(
    heading: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    console: Console,
    *,
    cut: str,
    right: Sequence[str],
) -> None:
    """A line for each row; of the column *cut* as much as there is room for."""
    texts = [
        [Text(name, "dim") for name in heading],
        *([each if isinstance(each, Text) else Text(each) for each in row] for row in rows),
    ]
    widths = [max(line[n].cell_len for line in texts) for n in range(len(heading))]
    if (width := width_of(console)) is not None:
        place = list(heading).index(cut)
        room = width - sum(widths) + widths[place] - _GAP * (len(widths) - 1)
        widths[place] = min(widths[place], max(_LEAST, room))
    for line in texts:
        shown = Text(no_wrap=True, overflow="ignore")
        for name, text, cells in zip(heading, line, widths, strict=True):
            if shown:
                shown.append(" " * _GAP)
            text.truncate(cells, overflow="ellipsis")
            blanks = " " * (cells - cell_len(text.plain))
            shown = Text.assemble(shown, *((blanks, text) if name in right else (text, blanks)))
        shown.rstrip()
        console.print(shown, soft_wrap=True)


def _text(value: Cell) -> str:
    return printable(str(value)) if value else ""


def _signed(value: Cell) -> str:
    share = number(value)
    if share is None:
        return "–"
    sign = "+" if share > 0 else "-" if share < 0 else ""
    return f"{sign}{percent(abs(share))}"
