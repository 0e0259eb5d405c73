"""Whether the chaos service kept its promise: nothing lost, nothing acked that was not saved."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import LedgerTaken
from ..finding import Finding
from ..unit import plural


def findings(ledger: LedgerTaken | None) -> Iterator[Finding]:
    """Errors for lost messages, a warning for doubled ones."""
    if ledger is None:
        return
    if ledger.lost:
        yield Finding(
            "ledger", "error", f"{plural(ledger.lost, 'message')} lost: neither settled nor waiting"
        )
    if ledger.acked_unsaved:
        message = f"{plural(ledger.acked_unsaved, 'message')} acked, but not in the store"
        yield Finding("ledger", "error", message)
    if ledger.duplicated:
        yield Finding(
            "ledger", "warning", f"{plural(ledger.duplicated, 'message')} took effect more than once"
        )
