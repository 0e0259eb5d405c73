"""Rows from elsewhere: folders of runs, as CI keeps them, and other histories. All of them, or none."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import RecordError, UsageError
from ..read import history, report
from ..record.run import MANIFEST
from ..record.run_folder import RunFolder
from . import journal, row
from .location import HistoryPlace
from .row import HistoryRow

REPORT = "report.json"
# Where a DuckDB file says that it is one.
_MAGIC, _MAGIC_AT = b"DUCK", 8


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the rows."""

    new: int
    known: int  # that the history had already


def rows_in(path: Path) -> list[HistoryRow]:
    """The rows of a folder with runs or histories, a report, a journal or a database.

    Raises:
        RecordError: It has none, or one that cannot be read.
    """
    try:
        if path.is_dir():
            found = list(_in_folder(path))
        elif not path.exists():
            raise RecordError(f"{path}: no such file or folder")
        else:
            found = _in_file(path)
    except OSError as exc:
        raise RecordError(f"{exc.filename or path}: cannot be read: {exc.strerror}") from exc
    if not found:
        raise RecordError(f"{path}: no runs here: expected {REPORT}, a run's record or a history")
    return found


def rows_of(text: bytes, source: str) -> list[HistoryRow]:
    """The rows of a journal from elsewhere, of which every line must be whole.

    Raises:
        RecordError: A line is no row.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append(row.read(line))
            except row.RowError as exc:
                raise RecordError(f"{source}: line {number}: {exc}") from None
    return found


def take_in(rows: Iterable[HistoryRow], where: HistoryPlace) -> Taken:
    """Append to the history at *where* what it does not have.

    Raises:
        UsageError: It cannot be written.
    """
    offered = journal.latest(list(rows))
    try:
        where.journal.parent.mkdir(parents=True, exist_ok=True)
        # The second of two that take in the same sees what the first one wrote. Runs do not wait.
        lock = os.open(where.journal.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            had = known(where)
            new = [each for key, each in offered.items() if key not in had or _completes(each, had[key])]
            if new:
                journal.append(where.journal, new)
        finally:
            os.close(lock)
    except OSError as exc:
        raise UsageError(f"{where.journal}: cannot be written: {exc.strerror or exc}") from exc
    return Taken(len(new), len(offered) - len(new))


def known(where: HistoryPlace) -> dict[tuple[row.Cell, ...], HistoryRow]:
    """What the history has, by the keys of its rows.

    Raises:
        OSError: Its journal cannot be read.
    """
    try:
        return journal.latest(journal.read(where.journal).rows)
    except FileNotFoundError:
        return {}


def _completes(new: HistoryRow, old: HistoryRow) -> bool:
    return new.is_whole and not old.is_whole


def _in_folder(folder: Path) -> Iterator[HistoryRow]:
    """Every run below *folder*, and every history."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        here = Path(parent)
        if REPORT in files:
            folders.clear()
            yield from _in_file(here / REPORT)
        elif MANIFEST in files:
            # It was killed before it was judged: its record is judged now.
            folders.clear()
            judged = report.build(history.load(RunFolder(here)))
            yield row.of_report(report.as_json(judged), here)
        for name in sorted(files):
            if name.endswith(".jsonl") and MANIFEST not in files:
                yield from _in_file(here / name)


def _in_file(path: Path) -> list[HistoryRow]:
    text = path.read_bytes()
    if text[_MAGIC_AT:].startswith(_MAGIC):
        from . import database  # which only this kind of file needs

        return database.stored(path)
    try:
        document = json.loads(text)
    except ValueError:
        return rows_of(text, str(path))
    if isinstance(document, dict) and "run" in document:
        try:
            return [row.of_report(document, path.parent)]
        except row.RowError as exc:
            raise RecordError(f"{path}: {exc}") from None
    return rows_of(text, str(path))
