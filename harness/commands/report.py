"""`harness report`: renders an existing record."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from ..errors import UsageError
from ..read import formats
from ..read.calls.allowlist import Allowlist
from ..read.compare.comparison import comparison
from ..read.compare.profile_diff import profile_diff
from ..read.compare.sameness import not_same
from ..read.formats import export, render, save
from ..read.history import load
from ..read.report import build, exit_status
from ..record.run import RunFolder
from . import completion, failure, results
from .calls_option import CallsAsked, calls_options
from .conclusion import present
from .display import Patience
from .display_option import DisplayAsked, display_options


class _FormatOption(click.Option):
    """Its help names the formats, whose modules are imported only then."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        self.help = f"One of {', '.join(formats.names())}."
        return super().get_help_record(ctx)


@click.command(short_help="Render an existing record.")
@click.argument("run", type=click.Path(path_type=Path), shell_complete=completion.runs)
@click.option("--format", "name", cls=_FormatOption, metavar="F", shell_complete=completion.formats)
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
@click.option("--output", type=click.Path(path_type=Path), help="Write to this file instead of stdout.")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="RUN",
    shell_complete=completion.runs,
    help="Compare with this run.",
)
@calls_options
@display_options
@click.pass_context
def report(
    context: click.Context,
    run: Path,
    name: str | None,
    as_json: bool,
    output: Path | None,
    against: Path | None,
    calls_asked: CallsAsked,
    display: DisplayAsked,
) -> None:
    """Render the record in the folder RUN, even if it is still being written or was cut off.

    Without a format, write report.json and report.html into the folder and print the summary.
    """
    name = _format(name, as_json=as_json, output=output, against=against)
    folder = RunFolder(run)
    with failure.judging(run):
        with Patience(folder):
            history = load(folder)
            document = build(history, allowlist=calls_asked.allowlist(Allowlist.of_run(history.run)))
            if against is not None:
                other = load(RunFolder(against))
                differing = not_same(other.run, history.run)
                between = comparison(build(other), document, profile_diff(other, history), differing)
                document = replace(document, difference=between)
        if name is None:
            context.exit(present(folder, document, calls_asked, display).exit_status)
        rendered = export(history, name) if formats.shows_record(name) else render(document, name)
        if output is not None:
            save(rendered, output)
            results.write(f"{name}: {output}\n", err=True)
        elif isinstance(rendered, bytes) and sys.stdout.isatty():
            raise UsageError(f"--format {name}: it is not text; name a file with --output")
        else:
            results.write(rendered)
        calls_asked.keep(document)
    context.exit(exit_status(document))


def _format(name: str | None, *, as_json: bool, output: Path | None, against: Path | None) -> str | None:
    """The name of the format that is asked for; None for the summary and the files in the run's folder."""
    if as_json and name not in (None, "json"):
        raise UsageError(f"--format {name} and --json: name one format")
    name = "json" if as_json else name
    if output is not None and output.is_dir():
        raise UsageError(f"--output {output}: expected a file, got a folder")
    if output is not None and name is None:
        name = formats.of_file(output)
        if name not in formats.names():
            exc = UsageError(f"--output {output}: its ending does not name a format")
            exc.add_note(f"Add --format, one of {', '.join(formats.names())}.")
            raise exc
    if name is not None and formats.shows_record(name) and against is not None:
        raise UsageError(f"--format {name}: it shows one record, and cannot compare it --against another")
    return name
