"""The end of `run`, `watch` and `report`: judge the record, write the reports, show the summary."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputError, UsageError
from ..read import history, report, terminal
from ..read.formats import publish, render
from ..read.report import Report
from ..record.run import RunFolder
from . import failure, results
from .calls_option import CallsAsked
from .display import Patience
from .display_option import DisplayAsked


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
    *,
    show_json: bool = False,
    to_stderr: bool = False,
) -> Conclusion:
    """Judge the record in *folder*, write the reports and show the summary."""
    with Patience(folder):
        judged = report.build(history.load(folder))
    return present(folder, judged, calls_asked, display, show_json=show_json, to_stderr=to_stderr)


def present(
    folder: RunFolder,
    judged: Report,
    calls_asked: CallsAsked,
    display: DisplayAsked,
    *,
    show_json: bool = False,
    to_stderr: bool = False,
) -> Conclusion:
    """Write the reports and show the summary.

    Reports that cannot be written, since the disk is full, do not keep the summary from being shown.
    """
    page, unwritten = None, 0
    try:
        page = publish(folder, judged)
    except (OutputError, UsageError) as exc:
        unwritten = failure.tell(exc)
    calls_asked.keep(judged)
    if show_json:
        results.write(render(judged, "json"))
    else:
        shown = Path(os.path.relpath(page)) if page is not None else None
        results.draw(
            lambda console: terminal.show(judged, console, report=shown, brief=display.quiet),
            err=to_stderr,
            colours=display.colours,
        )
    if page is not None:
        display.show(page)
    return Conclusion(judged, unwritten)
