"""What a run tells its history. Nothing that goes wrong here changes the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from ..read import report
from ..read.report import Report
from ..record.run import read_manifest
from ..record.run_folder import RunFolder
from . import journal, row
from .location import VARIABLE, place
from .row import HistoryRow


def note_begun(folder: RunFolder) -> None:
    """Tell the history that a run has begun, so that one that is killed is known, too.

    What fails here fails again at the end, and is told then.
    """
    with suppress(Exception):
        _append(lambda: (row.of_manifest(read_manifest(folder), _shown(folder.path)),))


def note_ended(folder: RunFolder, judged: Report) -> str:
    """Tell the history of a run that has ended; why that was not possible, or ""."""
    return _told("this run", lambda: (row.of_report(report.as_json(judged), _shown(folder.path)),))


def note_decided(document: dict[str, object]) -> str:
    """Tell the history of a comparison, given as its JSON; why that was not possible, or ""."""
    return _told("this comparison", lambda: row.of_decision(document))


def note_searched(document: dict[str, object], search_id: str) -> str:
    """Tell the history of a search by `harness bisect`, given as its JSON; as `note_decided`."""
    return _told("this search", lambda: row.of_search(document, search_id))


def _told(what: str, rows: Callable[[], Iterable[HistoryRow]]) -> str:
    try:
        _append(rows)
    except OSError as exc:
        where = place()
        why = f"{where.journal if where else VARIABLE}: {exc.strerror or exc}"
    except Exception as exc:  # whatever it is, it is no reason for the run to fail
        why = f"{type(exc).__name__}: {exc}"
    else:
        return ""
    return f"{what} is missing in the history: {why}"


def _append(rows: Callable[[], Iterable[HistoryRow]]) -> None:
    if (where := place()) is not None:
        journal.append(where.journal, rows())


def _shown(folder: Path) -> Path:
    """The run's folder, as it is called from the working directory."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
