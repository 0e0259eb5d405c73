"""The report so far of a program that was asked to end and still runs.

It may never end: a signal can be lost, and a thread can keep a process for ever. Whoever then kills the
harness, too, has this report.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

import click

from ..errors import HarnessError
from ..read import history, report
from ..read.formats import publish
from ..read.units import duration, printable
from ..record.run_folder import RunFolder


class InterimReport:
    """Writes the reports of a run that is not over, until `end`."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._publishing = threading.Lock()
        self._is_over = False

    def write(self, signal: str, after_s: float) -> None:
        """Write the report, *after_s* after *signal*, and say on stderr where it is; in any thread."""
        # The record stays, and the report at the end says what is wrong.
        with suppress(HarnessError, OSError):
            judged = report.build(history.load(self._folder))
            with self._publishing:
                if self._is_over:
                    return
                page = Path(os.path.relpath(publish(self._folder, judged)))
                since = duration(after_s * 1000)
                click.echo(
                    f"the program still runs {since} after {signal}: {printable(judged.run.verdict)}\n"
                    f"  the report so far: {page}",
                    err=True,
                )

    def end(self) -> None:
        """Write nothing more: the run is over, and has its own report."""
        with self._publishing:
            self._is_over = True
