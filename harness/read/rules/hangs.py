"""Processes that were ended because their loop did not come back, and hangs that lasted to the end."""

from __future__ import annotations

from collections.abc import Iterator

from ..evidence import Evidence
from ..figures.hang import Hang, HangEnd
from ..finding import Finding, Level
from ..place import blamed
from ..units import duration, plural

ORDER = 17


def findings(evidence: Evidence) -> Iterator[Finding]:
    """An error per process that `--hang-exit` ended, a warning per process that died in a hang."""
    for hang in evidence.hangs:
        where = f" in {hang.function} ({hang.where})" if hang.where else ""
        if hang.exit is not None:
            yield _finding(
                hang,
                Level.ERROR,
                f"process {hang.pid} was ended by {hang.exit.signal}, because its loop had not come back for "
                f"{hang.exit.limit_s:g} s (--hang-exit): it was held{where}; {_kept(hang)}",
            )
        elif hang.end is HangEnd.DIED:
            held = duration(hang.held_ms)
            message = f"process {hang.pid} died while its loop had hung for at least {held}{where}"
            yield _finding(hang, Level.WARNING, message)


def _finding(hang: Hang, level: Level, message: str) -> Finding:
    return Finding("hangs", level, message, *blamed(hang))


def _kept(hang: Hang) -> str:
    assert hang.exit is not None
    threads = plural(len(hang.exit.threads), "thread")
    if hang.exit.pending is None:
        return f"{hang.exit.error}; {threads} recorded"
    return f"its {plural(hang.exit.pending, 'task')} and {threads} are in the report"
