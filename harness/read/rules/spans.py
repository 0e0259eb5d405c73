"""Whether the traces are whole."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding
from ..spans.span import SpanFigures
from ..units import plural


def findings(spans: SpanFigures) -> Iterator[Finding]:
    """A warning for parents that are missing, and for spans that were dropped."""
    if spans.orphans:
        message = f"{plural(spans.orphans, 'span')} with a parent that is not in the record"
        yield Finding("spans", "warning", message)
    if spans.dropped:
        yield Finding("spans", "warning", f"{plural(spans.dropped, 'span')} dropped")
