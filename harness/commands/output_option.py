"""`--format`, `--json`, `--write` and `--step-summary`: what `run`, `watch` and `report` make of a report."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import HarnessError, OutputError, UsageError
from ..read import formats
from . import completion, failure, results
from .written_file import write_option, written_file

if TYPE_CHECKING:
    from ..read.history import History
    from ..read.report import Report

# Set by GitHub Actions for each step: a file whose Markdown is shown in the job's summary.
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


@dataclass(frozen=True, slots=True)
class OutputAsked:
    """The values of the options."""

    shown: str | None = None  # the format to show instead of the summary
    files: tuple[tuple[str, Path], ...] = ()  # the formats to write beside that
    in_step_summary: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All formats that are asked for."""
        return (*([self.shown] if self.shown else []), *(name for name, _ in self.files))

    def write(self, history: History, document: Report) -> int:
        """Write all files; an error is told, and its exit status returned at the end, or 0."""
        status = 0
        for name, path in self.files:
            try:
                formats.save(rendered(name, history, document), path)
            except HarnessError as exc:
                status = failure.tell(exc)
        if self.in_step_summary:
            try:
                _append_step_summary(document)
            except HarnessError as exc:
                status = failure.tell(exc)
        return status

    def show(self, history: History, document: Report, *, err: bool = False) -> None:
        """Print the format that is shown instead of the summary.

        Raises:
            UsageError: It is not text, and stdout is a terminal.
            OutputError: stdout cannot be written.
        """
        assert self.shown is not None
        content = rendered(self.shown, history, document)
        if isinstance(content, bytes) and (sys.stderr if err else sys.stdout).isatty():
            raise UsageError(f"--format {self.shown}: it is not text; name a file with --write")
        results.write(content, err=err)


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as one argument, `output`."""

    @click.option("--format", "shown", cls=_FormatOption, metavar="F", shell_complete=completion.formats)
    @click.option("--json", "is_json", is_flag=True, help="Same as --format json.")
    @write_option
    @click.option(
        "--step-summary",
        "in_step_summary",
        is_flag=True,
        help=f"Also append the report to the file named by {STEP_SUMMARY}.",
    )
    @functools.wraps(command)
    def collected(
        *args: object,
        shown: str | None,
        is_json: bool,
        files: tuple[str, ...],
        in_step_summary: bool,
        **kwargs: object,
    ) -> Any:
        if is_json and shown not in (None, "json"):
            raise UsageError(f"--format {shown} and --json: name one format")
        if shown is not None:
            formats.shows_record(shown)  # raises for a name that is no format
        asked = OutputAsked("json" if is_json else shown, tuple(map(_file, files)), in_step_summary)
        return command(*args, output=asked, **kwargs)

    return collected


def rendered(name: str, history: History, document: Report) -> str | bytes:
    """The report, or the record, in that format."""
    return formats.export(history, name) if formats.shows_record(name) else formats.render(document, name)


class _FormatOption(click.Option):
    """Its help names the formats, whose files are listed only then."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        self.help = f"Instead of the summary: {', '.join(formats.names())}."
        return super().get_help_record(ctx)


def _file(text: str) -> tuple[str, Path]:
    return written_file(text, formats.names(), formats.of_file)


def _append_step_summary(document: Report) -> None:
    path = os.environ.get(STEP_SUMMARY)
    if not path:
        results.write(f"--step-summary: {STEP_SUMMARY} is not set, so there is none\n", err=True)
        return
    try:
        with Path(path).open("a", encoding="utf-8") as summary:
            summary.write(formats.render(document, "md") + "\n")
    except OSError as exc:
        raise OutputError(f"{path}: cannot be written: {exc.strerror}") from exc
