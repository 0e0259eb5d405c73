"""The end of `run` and `watch`: judge the record, write the reports, show the summary."""

from __future__ import annotations

import os
from pathlib import Path

import click
from rich.console import Console

from ..read import history, report, terminal
from ..read.formats import publish, render
from ..record.run import RunFolder
from .calls_option import CallsAsked


def conclude(
    folder: RunFolder, calls_asked: CallsAsked, *, show_json: bool = False, to_stderr: bool = False
) -> int:
    """Judge the record in *folder*, and return the exit status of the outcome."""
    judged = report.build(history.load(folder))
    page = publish(folder, judged)
    calls_asked.keep(judged)
    if show_json:
        click.echo(render(judged, "json"), nl=False)
    else:
        terminal.show(judged, Console(stderr=to_stderr), report=Path(os.path.relpath(page)))
    return report.exit_status(judged)
