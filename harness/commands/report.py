"""`harness report`: renders a record again."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from ..read.document import build, exit_status
from ..read.history import load
from ..read.renderer import RENDERERS, publish, render, save
from ..read.rules.calls import accepted
from ..record.run import RunFolder
from .calls_option import CallsAsked, calls_options


@click.command(short_help="Render a record again.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "name", metavar="F", help=f"One of {', '.join(RENDERERS)}.")
@click.option("--json", "name", flag_value="json", help="The same as --format json.")
@click.option("--output", type=click.Path(path_type=Path), help="A file instead of the standard output.")
@calls_options
@click.pass_context
def report(
    context: click.Context, run: Path, name: str | None, output: Path | None, calls_asked: CallsAsked
) -> None:
    """Render the record in the folder RUN, also one that is still written or was cut off.

    Without a format: write report.json and report.html into the folder and print the summary.
    """
    folder = RunFolder(run)
    history = load(folder)
    document = build(history, accepted=calls_asked.accepted(accepted(history)))
    if name is None and output is None:
        from ..read.renderers import terminal

        terminal.show(document, Console(), report=publish(folder, document))
    elif output is None:
        click.echo(render(document, name or "html"), nl=False)
    else:
        save(render(document, name or output.suffix.removeprefix(".")), output)
    calls_asked.keep(document)
    context.exit(exit_status(document))
