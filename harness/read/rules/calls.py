"""Synchronous calls on the loop that are not on the allowlist."""

from __future__ import annotations

from collections.abc import Iterator

from ..evidence import Evidence
from ..finding import Finding, Level
from ..units import duration, plural

ORDER = 110


def findings(evidence: Evidence) -> Iterator[Finding]:
    """A warning for each place that is neither allowed nor in the baseline, a note for the baseline's."""
    for call in evidence.calls or ():
        if call.allowed:
            continue
        took = f"{plural(call.count, 'time')}, {duration(call.total_ms)} in total"
        if not call.function:
            message = f"{call.call} was called on the loop in other places: {took}"
            yield Finding("calls", Level.NOTE, message)
            continue
        message = f"{call.function} called {call.call} on the loop: {took}"
        level = Level.NOTE if call.known else Level.WARNING
        yield Finding("calls", level, message, call.file, call.line)
