"""A run's folder, which holds all files of one run.

reports/<run id>/
  run.json        the manifest, written once before anything is started (`run.py`)
  events/         one file of events per process (`writer.py`, `reader.py`)
  loops/          one page of counters per event loop (`page.py`)
  artefacts/      files of profilers and of the target
  report.json, report.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .value import Value

if TYPE_CHECKING:
    # Every process that runs a loop loads this file.
    from pathlib import Path

EVENTS, LOOPS = "events", "loops"


class RunFolder(Value):
    """The paths inside one run's folder."""

    path: Path

    @property
    def events(self) -> Path:
        return self.path / EVENTS

    @property
    def processes(self) -> Path:
        return self.path / "processes"

    @property
    def loops(self) -> Path:
        return self.path / LOOPS

    @property
    def artefacts(self) -> Path:
        return self.path / "artefacts"
