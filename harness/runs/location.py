"""Where the history of a project lies: beside its runs, unless a variable or an option moves it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "HARNESS_HISTORY"
# Its value for no history at all.
OFF = "off"
STEM = "history"
_DATABASE = ".duckdb"


@dataclass(frozen=True, slots=True)
class HistoryPlace:
    """The two files of a history."""

    database: Path

    @property
    def journal(self) -> Path:
        """What runs append to; the database is made from it."""
        return self.database.with_suffix(".jsonl")


def place(named: Path | None = None) -> HistoryPlace | None:
    """The history of the working directory, or *named*, a folder or the database; `None` if it is off."""
    value = str(named) if named is not None else os.environ.get(VARIABLE, "")
    if value == OFF:
        return None
    path = Path(value or "reports").expanduser()
    return HistoryPlace(path if path.suffix == _DATABASE else path / f"{STEM}{_DATABASE}")
