"""Whether every fault was injected, took effect, and was rolled back."""

from __future__ import annotations

from collections.abc import Iterator

from ..evidence import Evidence
from ..finding import Finding, Level

ORDER = 60


def findings(evidence: Evidence) -> Iterator[Finding]:
    """An error for a fault that failed, warnings for one that stayed active or did nothing."""
    for fault in evidence.faults:
        if fault.error:
            yield Finding("faults", Level.ERROR, f"fault {fault.id} failed: {fault.error}")
        elif not fault.undone:
            message = f"fault {fault.id} was not rolled back before the record ended"
            yield Finding("faults", Level.WARNING, message)
        elif not fault.fired:
            yield Finding("faults", Level.WARNING, f"fault {fault.id} was active, but never took effect")
