"""`harness report`: renders an existing record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from ..errors import UsageError
from ..read import formats
from . import completion, failure, results
from .calls_option import CallsAsked, calls_options
from .display_option import DisplayAsked, display_options
from .output_option import OutputAsked, output_options, rendered
from .summary import SUMMARIES


@click.command(short_help=SUMMARIES["report"])
@click.argument("run", type=click.Path(path_type=Path), shell_complete=completion.runs)
@output_options
@click.option("--output", "file", type=click.Path(path_type=Path), help="Write to this file, not to stdout.")
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
    output: OutputAsked,
    file: Path | None,
    against: Path | None,
    calls_asked: CallsAsked,
    display: DisplayAsked,
) -> None:
    """Render the record in the folder RUN, even if it is still being written or was cut off.

    Without a format, write report.json and report.html into the folder and print the summary.
    """
    # Not at the top: `--help` needs none of these.
    from ..read.calls.allowlist import Allowlist
    from ..read.compare.comparison import comparison
    from ..read.compare.profile_diff import profile_diff
    from ..read.compare.sameness import not_same
    from ..read.history import load
    from ..read.report import build, exit_status
    from ..record.run_folder import RunFolder
    from .conclusion import present
    from .display import Patience

    name = _format(output, file, against=against)
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
            context.exit(present(folder, history, document, calls_asked, display, output).exit_status)
        unwritten = output.write(history, document)
        if file is not None:
            formats.save(rendered(name, history, document), file)
            results.write(f"{name}: {file}\n", err=True)
        else:
            output.show(history, document)
        calls_asked.keep(document)
    context.exit(exit_status(document) or unwritten)


def _format(output: OutputAsked, file: Path | None, *, against: Path | None) -> str | None:
    """The name of the format that is asked for; None for the summary and the files in the run's folder."""
    name = output.shown
    if file is not None and file.is_dir():
        raise UsageError(f"--output {file}: expected a file, got a folder")
    if file is not None and name is None:
        name = formats.of_file(file)
        if name not in formats.names():
            exc = UsageError(f"--output {file}: its ending does not name a format")
            exc.add_note(f"Add --format, one of {', '.join(formats.names())}.")
            raise exc
    for one in (*output.names, *([name] if name else [])):
        if against is not None and formats.shows_record(one):
            raise UsageError(f"--format {one}: it shows one record, and cannot compare it --against another")
    return name
