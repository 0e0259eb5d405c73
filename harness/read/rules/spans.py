"""Whether the traces are complete."""

from __future__ import annotations

from collections.abc import Iterator

from ..evidence import Evidence
from ..finding import Finding, Level
from ..units import plural

ORDER = 100


def findings(evidence: Evidence) -> Iterator[Finding]:
    """Warnings for missing parents and for dropped spans."""
    spans = evidence.spans
    if spans.orphans:
        message = f"{plural(spans.orphans, 'span')} whose parent is not in the record"
        yield Finding("spans", Level.WARNING, message)
    if spans.dropped:
        yield Finding("spans", Level.WARNING, f"{plural(spans.dropped, 'span')} dropped")
