"""Whether the chaos service lost messages or acked them unsaved, and what it left on a server."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import QueueLeft
from ..evidence import Evidence
from ..finding import Cost, CostUnit, Finding, Level
from ..units import plural

ORDER = 50


def findings(evidence: Evidence) -> Iterator[Finding]:
    """Errors for lost messages, a warning for duplicates, a note for a queue that was not removed."""
    for left in evidence.history.of(QueueLeft):
        yield Finding("ledger", Level.NOTE, f"the queue of the run was left on its server: {left.why}")
    ledger = evidence.ledger
    if ledger is None:
        return
    if ledger.lost:
        message = f"{plural(ledger.lost, 'message')} lost: neither settled nor waiting"
        yield Finding("ledger", Level.ERROR, message, cost=Cost(ledger.lost, CostUnit.LOST))
    if ledger.acked_unsaved:
        message = f"{plural(ledger.acked_unsaved, 'message')} acked, but not in the store"
        yield Finding("ledger", Level.ERROR, message, cost=Cost(ledger.acked_unsaved, CostUnit.LOST))
    if ledger.duplicated:
        message = f"{plural(ledger.duplicated, 'message')} took effect more than once"
        yield Finding("ledger", Level.WARNING, message)
