"""The messages of the chaos service, by its own ledger."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ...record.event import LedgerTaken
from ..history import History


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """The number of messages by outcome."""

    published: int
    acked: int
    nacked: int
    redelivered: int
    duplicated: int
    lost: int
    dead_lettered: int
    drain_s: float | None
    waiting: int
    acked_unsaved: int


def ledger(history: History) -> LedgerFigures | None:
    """The figures of the last ledger in the record; `None` for a target without one."""
    taken = history.last(LedgerTaken)
    if taken is None:
        return None
    return LedgerFigures(**{name.name: getattr(taken, name.name) for name in fields(LedgerFigures)})
