"""Counts every exception by type, by where it was raised, and by where it ended.

Every ``except`` clause that does not re-raise must call `FailureLedger.note`. So the counts show what a log
cannot: whether an exception was swallowed.
"""

from __future__ import annotations

import logging
import site
import sysconfig
import threading
from dataclasses import dataclass
from enum import StrEnum

from ..errors import leaves
from .metrics import record_failure

log = logging.getLogger(__name__)

# Maximum number of rows; a program has far fewer. Further failures are counted together.
MAX_ROWS = 200
OTHERS = "others"
# Rows in the summary line.
SUMMARY_ROWS = 5

INSTALLED = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), *site.getsitepackages())


class End(StrEnum):
    """How the handling of an exception ended."""

    RETRIED = "retried"
    NACKED = "nacked"
    DEAD_LETTERED = "dead-lettered"
    ABANDONED = "let go"
    STOPPED = "stopped"
    UNHANDLED = "unhandled"


@dataclass(frozen=True, slots=True)
class FailureCount:
    """The number of exceptions of one type that were raised at one place and ended the same way."""

    kind: str  # the exception's type name
    raised_at: str  # as `raised_at` formats it
    end: End
    count: int


class FailureLedger:
    """Counts exceptions, from any thread."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, End], int] = {}
        # Reentrant, because a garbage collection while counting may run a finaliser that raises.
        self._lock = threading.RLock()

    def note(self, error: BaseException, end: End) -> None:
        """Count *error*; for a group, each of its errors."""
        for leaf in leaves(error):
            self.note_kind(type(leaf).__name__, raised_at(leaf), end)

    def note_kind(self, kind: str, where: str, end: End) -> None:
        """Count a failure that has no exception."""
        with self._lock:
            key = (kind, where, end)
            if key not in self._counts and len(self._counts) >= MAX_ROWS:
                key = (OTHERS, "", end)
            self._counts[key] = self._counts.get(key, 0) + 1
        record_failure(kind)

    def rows(self) -> list[FailureCount]:
        """All counts, the most frequent first."""
        with self._lock:
            counted = sorted(self._counts.items(), key=lambda item: -item[1])
        return [FailureCount(kind, where, end, count) for (kind, where, end), count in counted]

    def totals(self) -> dict[str, int]:
        """The number of exceptions by where they ended."""
        totals = dict.fromkeys(map(str, End), 0)
        for row in self.rows():
            totals[row.end] += row.count
        return totals

    def log_summary(self) -> None:
        """Log all counts in one line."""
        most = "; ".join(f"{r.kind} at {r.raised_at}: {r.end} {r.count}x" for r in self.rows()[:SUMMARY_ROWS])
        totals = {end.replace(" ", "_").replace("-", "_"): count for end, count in self.totals().items()}
        log.info("failures", extra={**totals, "most": most})


def raised_at(error: BaseException) -> str:
    """Where the exception was raised, as ``module.function:line``; empty if it never was.

    This is the innermost frame outside of installed libraries.
    """
    place = ""
    trace = error.__traceback__
    while trace is not None:
        frame, code = trace.tb_frame, trace.tb_frame.f_code
        if not place or not code.co_filename.startswith(INSTALLED):
            place = f"{frame.f_globals.get('__name__', '?')}.{code.co_qualname}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
