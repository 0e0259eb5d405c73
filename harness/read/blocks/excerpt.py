"""The source lines around a blamed line, if the file can still be read."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

AROUND = 3
# Paths come from the target: only source text of a reasonable size may enter a report.
MAX_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line of source."""

    number: int
    text: str
    blamed: bool


def excerpt(file: str, line: int) -> tuple[SourceLine, ...]:
    """The blamed line and those around it; empty if there is no such file or line."""
    path = Path(file)
    try:
        about = path.stat()
        if path.suffix != ".py" or not stat.S_ISREG(about.st_mode) or about.st_size > MAX_BYTES:
            return ()
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, ValueError):
        return ()
    if not 1 <= line <= len(lines):
        return ()
    first, last = max(1, line - AROUND), min(len(lines), line + AROUND)
    return tuple(SourceLine(n, lines[n - 1], n == line) for n in range(first, last + 1))
