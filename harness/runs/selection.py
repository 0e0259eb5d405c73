"""Which runs somebody wants to see, as a condition in SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..errors import UsageError
from ..read.judge.outcome import OutcomeName
from .column import HistoryTable
from .database import HistoryDatabase
from .row import Cell, utc

# Of a run that has not ended, or was killed: it has no outcome.
UNFINISHED = "unfinished"
OUTCOMES = (*(str(name) for name in OutcomeName), UNFINISHED)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class RunSelection:
    """What is asked for; empty: everything."""

    scenario: str = ""  # may have `*` and `?`
    outcomes: tuple[str, ...] = ()
    branch: str = ""
    host: str = ""
    since: datetime | None = None  # UTC, without an offset
    limit: int | None = None  # the newest so many

    def runs(self, history: HistoryDatabase, *, also: str = "TRUE") -> list[dict[str, Cell]]:
        """The runs that are asked for and fulfil the condition *also*, newest first."""
        conditions = [also, *(condition for condition, _ in self._conditions())]
        values = [value for _, parts in self._conditions() for value in parts]
        return history.rows(
            f"SELECT * FROM {HistoryTable.RUNS} WHERE {' AND '.join(conditions)} "  # noqa: S608 - no input
            f"ORDER BY started DESC, id DESC {self._limit}",
            values,
        )

    def comparisons(self, history: HistoryDatabase) -> list[dict[str, Cell]]:
        """The comparisons since the time that is asked for, newest first; of each, what decides first."""
        since = [self.since] if self.since is not None else []
        return history.rows(
            f"SELECT * FROM {HistoryTable.COMPARISONS} {'WHERE started >= ?' if since else ''} "  # noqa: S608
            f"ORDER BY started DESC, id DESC, role != 'decides', metric {self._limit}",
            since,
        )

    @property
    def _limit(self) -> str:
        return f"LIMIT {self.limit}" if self.limit is not None else ""

    def _conditions(self) -> Iterator[tuple[str, tuple[object, ...]]]:
        if self.scenario:
            yield "scenario GLOB ?", (self.scenario,)
        if self.branch:
            yield "branch GLOB ?", (self.branch,)
        if self.host:
            yield "host GLOB ?", (self.host,)
        if self.since is not None:
            yield "started >= ?", (self.since,)
        if self.outcomes:
            known = tuple(name for name in self.outcomes if name != UNFINISHED)
            parts = ["outcome = ?"] * len(known) + ["outcome IS NULL"] * (UNFINISHED in self.outcomes)
            yield f"({' OR '.join(parts)})", known


def outcomes(names: Sequence[str]) -> tuple[str, ...]:
    """*names*, each of which is an outcome.

    Raises:
        UsageError: One is none.
    """
    for name in names:
        if name not in OUTCOMES:
            raise UsageError(f"--outcome {name}: expected one of {', '.join(OUTCOMES)}")
    return tuple(names)


def since(text: str) -> datetime:
    """The moment that ``7d``, ``12h``, ``2w``, or a date of ISO 8601 stands for.

    Raises:
        UsageError: It stands for none.
    """
    if found := re.fullmatch(r"(\d{1,6})([mhdw])", text):
        ago = timedelta(**{_UNITS[found[2]]: int(found[1])})
        return (datetime.now(UTC) - ago).replace(tzinfo=None)
    try:
        moment = datetime.fromisoformat(text)
        # A date that somebody types is of this machine's zone.
        return utc(moment.astimezone().isoformat())
    except (ValueError, OverflowError):
        raise UsageError(f"--since {text}: expected a time such as 12h, 7d or 2026-11-30") from None
