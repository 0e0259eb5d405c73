"""Whether the traces are whole."""

from __future__ import annotations

from collections.abc import Iterator

from ..evidence import Evidence
from ..finding import Finding, Level
from ..units import plural

ORDER = 100


def findings(evidence: Evidence) -> Iterator[Finding]:
    """A warning for parents that are missing, and for spans that were dropped."""
    spans = evidence.spans
    if spans.orphans:
        message = f"{plural(spans.orphans, 'span')} with a parent that is not in the record"
        yield Finding("spans", Level.WARNING, message)
    if spans.dropped:
        yield Finding("spans", Level.WARNING, f"{plural(spans.dropped, 'span')} dropped")
