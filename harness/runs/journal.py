"""The journal: a file of lines, to which every run appends one when it begins and one when it ends.

Runs write lines and no database, because a database has one writer at a time: a run would have to wait for
another one, or for somebody who looks at the history. To append a line takes no lock, no library and a tenth
of a millisecond, and a line that was cut off, by a full disk or a kill, spoils nothing but itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import row
from .row import HistoryRow


@dataclass(frozen=True, slots=True)
class JournalPart:
    """What stands in a journal from some place on."""

    rows: tuple[HistoryRow, ...]
    end: int  # the place after the last whole line
    damaged: int  # lines that are no rows
    newer: int  # rows of a newer version of the harness


def append(path: Path, rows: Iterable[HistoryRow]) -> None:
    """Add *rows* at the end, by one system call, so that no other writer's line is cut in two.

    Raises:
        OSError: They cannot be written.
    """
    text = "".join(f"{each.line()}\n" for each in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without waiting: a named pipe in its place must not hold the run.
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "not a regular file")
        if found.st_size and os.pread(file, 1, found.st_size - 1) != b"\n":
            text = b"\n" + text  # the last line was cut off
        written = os.write(file, text)
    finally:
        os.close(file)
    if written < len(text):
        raise OSError(0, f"{written} of {len(text)} bytes were written: the disk is full")


def read(path: Path, *, start: int = 0) -> JournalPart:
    """The rows from *start*, the place after a line, to the last whole line.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        file.seek(start)
        text = file.read()
    whole = text[: text.rfind(b"\n") + 1]
    rows, damaged, newer = [], 0, 0
    for line in whole.splitlines():
        if not line.strip():
            continue
        try:
            rows.append(row.read(line))
        except row.NewerRowError:
            newer += 1
        except row.RowError:
            damaged += 1
    return JournalPart(tuple(rows), start + len(whole), damaged, newer)


def latest(rows: Sequence[HistoryRow]) -> dict[tuple[row.Cell, ...], HistoryRow]:
    """What is known last of each run, in the order in which they began; a beginning replaces no end."""
    found: dict[tuple[row.Cell, ...], HistoryRow] = {}
    for each in rows:
        if each.is_whole or each.key not in found:
            found[each.key] = each
    return found
