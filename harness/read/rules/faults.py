"""Whether every fault became active, took effect, and was rolled back."""

from __future__ import annotations

from collections.abc import Iterator

from ..figures.fault import FaultFigures
from ..finding import Finding


def findings(faults: tuple[FaultFigures, ...]) -> Iterator[Finding]:
    """An error for a fault that failed, warnings for one that stayed or did nothing."""
    for fault in faults:
        if fault.error:
            yield Finding("faults", "error", f"fault {fault.id} failed: {fault.error}")
        elif not fault.undone:
            yield Finding("faults", "warning", f"fault {fault.id} was not rolled back within the record")
        elif not fault.fired:
            yield Finding("faults", "warning", f"fault {fault.id} was active, but never took effect")
