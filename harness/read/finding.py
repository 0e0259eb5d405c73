"""A finding: one full sentence about the run that a rule has reached, for people and for CI."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What *rule* says of the run, and of which line where one is to blame."""

    rule: str  # the subject of the rule: the module's name in `rules/`
    level: str  # "error", "warning" or "note"
    message: str
    file: str | None = None
    line: int | None = None
