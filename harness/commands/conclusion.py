"""The end of `run` and `watch`: judge the record, write the reports, show the summary."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import OutputError, UsageError
from ..read import history, report, terminal
from ..read.formats import publish, render
from ..read.report import Report
from ..record.run import RunFolder
from . import failure, results
from .calls_option import CallsAsked


def conclude(
    folder: RunFolder, calls_asked: CallsAsked, *, show_json: bool = False, to_stderr: bool = False
) -> Report:
    """Judge the record in *folder*, write the reports and show the summary.

    Reports that cannot be written, since the disk is full, do not keep the summary from being shown.
    """
    judged = report.build(history.load(folder))
    page: Path | None = None
    try:
        page = publish(folder, judged)
    except (OutputError, UsageError) as exc:
        failure.tell(exc)
    calls_asked.keep(judged)
    if show_json:
        results.write(render(judged, "json"))
    else:
        shown = Path(os.path.relpath(page)) if page is not None else None
        results.draw(lambda console: terminal.show(judged, console, report=shown), err=to_stderr)
    return judged
