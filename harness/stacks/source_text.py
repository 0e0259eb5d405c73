"""The source of a file that a stack names, if it can still be read."""

from __future__ import annotations

import stat
from pathlib import Path

# Paths come from the target: only source text of a reasonable size may enter a report.
MAX_BYTES = 2_000_000


def source_text(file: str) -> str | None:
    """The text of a Python source; `None` if there is no such file, or it is too large to be one."""
    path = Path(file)
    try:
        about = path.stat()
        if path.suffix != ".py" or not stat.S_ISREG(about.st_mode) or about.st_size > MAX_BYTES:
            return None
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return None
