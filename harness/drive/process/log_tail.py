"""The last lines of a log, without reading all of it."""

from __future__ import annotations

from pathlib import Path

LINES = 8
# Characters that are kept of a line; the log has the rest.
LINE_CHARS = 200
_BLOCK_BYTES = 16_384


def last_lines(log: Path, count: int = LINES) -> tuple[str, ...]:
    """The last lines that are not empty, oldest first; none if the log cannot be read."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _BLOCK_BYTES))
            text = file.read(_BLOCK_BYTES).decode(errors="replace")
    except OSError:
        return ()
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return tuple(line[:LINE_CHARS] for line in lines[-count:])
