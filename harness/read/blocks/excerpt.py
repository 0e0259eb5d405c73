"""The source lines around a blamed line, if the file can still be read."""

from __future__ import annotations

from dataclasses import dataclass

from ...stacks.source_text import source_text

AROUND = 3


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line of source."""

    number: int
    text: str
    blamed: bool


def excerpt(file: str, line: int) -> tuple[SourceLine, ...]:
    """The blamed line and those around it; empty if there is no such file or line."""
    lines = (source_text(file) or "").splitlines()
    if not 1 <= line <= len(lines):
        return ()
    first, last = max(1, line - AROUND), min(len(lines), line + AROUND)
    return tuple(SourceLine(n, lines[n - 1], n == line) for n in range(first, last + 1))
