"""A finding: one full sentence about the run that a rule has reached, for people and for CI."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """What *rule* says of the run, and of which line where one is to blame."""

    rule: str  # the subject of the rule: the module's name in `rules/`
    level: Level
    message: str
    file: str | None = None
    line: int | None = None
