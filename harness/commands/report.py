"""`harness report`: renders an existing record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from ..read import formats, terminal
from ..read.calls.allowlist import Allowlist
from ..read.compare.comparison import comparison
from ..read.compare.profile_diff import profile_diff
from ..read.compare.sameness import not_same
from ..read.formats import export, publish, render, save
from ..read.history import load
from ..read.report import build, exit_status
from ..record.run import RunFolder
from . import failure, results
from .calls_option import CallsAsked, calls_options


class _FormatOption(click.Option):
    """Its help names the formats, whose modules are imported only then."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        self.help = f"One of {', '.join(formats.names())}."
        return super().get_help_record(ctx)


@click.command(short_help="Render an existing record.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "name", cls=_FormatOption, metavar="F")
@click.option("--json", "name", flag_value="json", help="Same as --format json.")
@click.option("--output", type=click.Path(path_type=Path), help="Write to this file instead of stdout.")
@click.option("--against", type=click.Path(path_type=Path), metavar="RUN", help="Compare with this run.")
@calls_options
@click.pass_context
def report(
    context: click.Context,
    run: Path,
    name: str | None,
    output: Path | None,
    against: Path | None,
    calls_asked: CallsAsked,
) -> None:
    """Render the record in the folder RUN, even if it is still being written or was cut off.

    Without a format, write report.json and report.html into the folder and print the summary.
    """
    with failure.judging(run):
        folder = RunFolder(run)
        history = load(folder)
        document = build(history, allowlist=calls_asked.allowlist(Allowlist.of_run(history.run)))
        if against is not None:
            other = load(RunFolder(against))
            differing = not_same(other.run, history.run)
            between = comparison(build(other), document, profile_diff(other, history), differing)
            document = replace(document, difference=between)
        name = name or (formats.of_file(output) if output is not None else None)
        if name is None:
            page = publish(folder, document)
            results.draw(lambda console: terminal.show(document, console, report=page))
        else:
            rendered = export(history, name) if formats.shows_record(name) else render(document, name)
            if output is not None:
                save(rendered, output)
            else:
                results.write(rendered)
        calls_asked.keep(document)
    context.exit(exit_status(document))
