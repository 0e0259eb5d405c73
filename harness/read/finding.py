"""A finding: one sentence of a rule about the run, for people and for CI."""

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
    """What *rule* found, and the line to blame where there is one."""

    rule: str  # the name of its module in `rules/`
    level: Level
    message: str
    file: str | None = None
    line: int | None = None
    invalid: bool = False  # because of this the measurement cannot be judged; see `judge/outcome.py`
