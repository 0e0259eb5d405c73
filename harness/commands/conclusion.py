"""The end of `run`, `watch` and `report`: judge the record, write the reports, show the summary.

What ran is a row of the history; a report that is rendered again is none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputError, UsageError
from ..read import history, report, terminal
from ..read.formats import publish
from ..read.history import History
from ..read.report import Report
from ..record.run_folder import RunFolder
from ..runs import noting
from . import failure, results
from .calls_option import CallsAsked
from .display import Patience
from .display_option import DisplayAsked
from .output_option import OutputAsked


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The judged record."""

    report: Report
    unwritten: int = 0  # the exit status of the error because of which there are no reports, or 0

    @property
    def exit_status(self) -> int:
        """The exit status of a command that reports the run."""
        return report.exit_status(self.report) or self.unwritten

    @property
    def condition_status(self) -> int:
        """The same by the conditions alone, however the target ended."""
        return report.condition_status(self.report) or self.unwritten


def conclude(
    folder: RunFolder,
    calls_asked: CallsAsked,
    display: DisplayAsked,
    output: OutputAsked | None = None,
    *,
    to_stderr: bool = False,
) -> Conclusion:
    """Judge the record in *folder*, write the reports and show the summary, or what is asked for."""
    record, judged = judge(folder)
    asked = output or OutputAsked()
    concluded = present(folder, record, judged, calls_asked, display, asked, to_stderr=to_stderr)
    note_ended(folder, judged)
    return concluded


def judge(folder: RunFolder) -> tuple[History, Report]:
    """The record in *folder*, and its report."""
    with Patience(folder):
        record = history.load(folder)
        return record, report.build(record)


def note_ended(folder: RunFolder, judged: Report) -> None:
    """Add the run to the history, or say what is missing there."""
    if missing := noting.note_ended(folder, judged):
        results.write(f"harness: {missing}\n", err=True)


def present(
    folder: RunFolder,
    record: History,
    judged: Report,
    calls_asked: CallsAsked,
    display: DisplayAsked,
    output: OutputAsked,
    *,
    to_stderr: bool = False,
) -> Conclusion:
    """Write the reports and show the summary, or what is asked for.

    Reports that cannot be written, since the disk is full, do not keep the summary from being shown.
    """
    page, unwritten = None, 0
    try:
        page = publish(folder, judged)
    except (OutputError, UsageError) as exc:
        unwritten = failure.tell(exc)
    unwritten = output.write(record, judged) or unwritten
    calls_asked.keep(judged)
    if output.shown is not None:
        output.show(record, judged, err=to_stderr)
    else:
        shown = Path(os.path.relpath(page)) if page is not None else None
        results.draw(
            lambda console: terminal.show(
                judged, console, report=shown, brief=display.quiet, whole=display.verbose
            ),
            err=to_stderr,
            colours=display.colours,
        )
    if page is not None:
        display.show(page)
    return Conclusion(judged, unwritten)
