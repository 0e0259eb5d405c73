"""`harness runs`: what ran before, and how a figure went."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UsageError
from . import completion, results
from .history_option import history_option
from .runs_transfer import export, import_
from .summary import SUMMARIES

if TYPE_CHECKING:
    from rich.console import Console

    from ..runs.database import HistoryDatabase
    from ..runs.location import HistoryPlace
    from ..runs.selection import RunSelection

# What a terminal shows without scrolling, and enough for a trend.
_LISTED, _PLOTTED = 20, 300


@dataclass(frozen=True, slots=True)
class _Output:
    """How the answer is written."""

    as_json: bool
    file: Path | None
    colours: bool

    def write(self, document: object, show: Callable[[Console], None]) -> None:
        """*document* as JSON, if that is asked for; else what *show* draws."""
        if self.as_json:
            self.write_text(json.dumps(document, indent=1, default=_iso) + "\n")
        else:
            results.draw(show, colours=self.colours)

    def write_text(self, text: str) -> None:
        """To the file, if there is one."""
        from ..read.formats import save

        if self.file is None:
            results.write(text)
        else:
            save(text, self.file)
            results.write(f"{self.file}\n", err=True)


@click.group(invoke_without_command=True, short_help=SUMMARIES["runs"])
@click.option("--scenario", default="", metavar="NAME", help="Runs of this scenario; * and ? match any.")
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    metavar="NAME",
    help="Runs that ended so, such as failed, or are unfinished; repeatable.",
)
@click.option("--since", metavar="TIME", help="Runs since then: 12h, 7d, 2w, or 2026-11-30.")
@click.option("--branch", default="", metavar="NAME", help="Runs of this git branch.")
@click.option("--host", default="", metavar="NAME", help="Runs of this machine.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"The newest N.  [default: {_LISTED}; {_PLOTTED} for a trend]",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="FIGURE",
    shell_complete=completion.figures,
    help="How this figure went, and where it changed, such as loop.lag_ms.p99; repeatable.",
)
@click.option("--format", "name", type=click.Choice(["html"]), help="The trends as a page.")
@click.option("--comparisons", is_flag=True, help="List the comparisons of bench and compare instead.")
@click.option("--sql", metavar="QUERY", help="Answer one SELECT about the tables runs and comparisons.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all that is known.")
@click.option("--output", type=click.Path(path_type=Path), help="Write to this file instead of stdout.")
@click.option("--no-color", is_flag=True, help="Show plain text, as the variable NO_COLOR does.")
@history_option
@click.pass_context
def runs(
    context: click.Context,
    where: HistoryPlace,
    scenario: str,
    outcomes: tuple[str, ...],
    since: str | None,
    branch: str,
    host: str,
    limit: int | None,
    metrics: tuple[str, ...],
    name: str | None,
    comparisons: bool,
    sql: str | None,
    as_json: bool,
    output: Path | None,
    no_color: bool,
) -> int:
    """List the runs of this project, newest first, or show how a figure went over them.

    \b
    harness runs --since 7d --outcome failed
    harness runs --metric loop.lag_ms.p99 --scenario first
    harness runs --format html --output trends.html

    Every run and every comparison adds itself to the history in reports/. To read it needs the extra
    `history`.
    """
    if context.invoked_subcommand is not None:
        return 0
    if output is not None and output.suffix == ".html" and not as_json:
        name = "html"
    _check(bool(metrics or name), comparisons, sql, name, as_json, output)
    from ..runs import database, selection

    asked = selection.RunSelection(
        scenario=scenario,
        outcomes=selection.outcomes(outcomes),
        branch=branch,
        host=host,
        since=selection.since(since) if since is not None else None,
        limit=limit or (_PLOTTED if metrics or name else _LISTED),
    )
    to = _Output(as_json, output, not no_color)
    with database.opened(where) as history:
        for note in history.notes:
            results.write(f"harness: {note}\n", err=True)
        if sql is not None:
            _answer(history, sql, to)
        elif metrics or name:
            _trends(history, asked, metrics, name, to)
        else:
            _list(history, asked, comparisons, where, to)
    return 0


runs.add_command(import_)
runs.add_command(export)


def _check(
    is_trend: bool, comparisons: bool, sql: str | None, name: str | None, as_json: bool, output: Path | None
) -> None:
    if is_trend + comparisons + (sql is not None) > 1:
        raise UsageError("--metric or --format, --comparisons, --sql: expected one of them")
    if name is not None and as_json:
        raise UsageError(f"--format {name} and --json: name one format")
    if output is not None and name is None and not as_json:
        raise UsageError(f"--output {output}: it needs --json or --format html")


def _list(
    history: HistoryDatabase, asked: RunSelection, comparisons: bool, where: HistoryPlace, to: _Output
) -> None:
    from ..runs import table

    rows = asked.comparisons(history) if comparisons else asked.runs(history)
    if not rows:
        _say_none("comparisons" if comparisons else "runs", where)
    show = table.show_comparisons if comparisons else table.show_runs
    to.write(rows, lambda console: show(rows, console) if rows else None)


def _trends(
    history: HistoryDatabase,
    asked: RunSelection,
    metrics: Sequence[str],
    name: str | None,
    to: _Output,
) -> None:
    from ..runs import page, trend, trend_chart

    figures = [trend.plotted(key) for key in metrics or trend.USUAL]
    found = trend.trends(asked.runs(history), figures)
    if not found:
        results.write("harness: none of the runs that fit has such a figure\n", err=True)
    if name == "html":
        to.write_text(page.render(found))
    else:
        to.write([trend.as_json(each) for each in found], lambda console: trend_chart.show(found, console))


def _answer(history: HistoryDatabase, sql: str, to: _Output) -> None:
    from ..runs import table

    columns, rows = history.answer(sql)
    document = [dict(zip(columns, row, strict=True)) for row in rows]
    to.write(document, lambda console: table.show_answer(columns, rows, console))


def _say_none(what: str, where: HistoryPlace) -> None:
    results.write(f"harness: no {what} that fit in {where.journal}\n", err=True)


def _iso(value: object) -> str:
    """What JSON has no form for: times, which are UTC here, and whatever a query makes."""
    return f"{value.isoformat()}+00:00" if isinstance(value, datetime) and not value.tzinfo else str(value)
