"""Whether the load arrived on schedule; if it did not, the run measured something else."""

from __future__ import annotations

from collections.abc import Iterator

from ..evidence import Evidence
from ..finding import Finding, Level
from ..units import duration, plural

ORDER = 40


def findings(evidence: Evidence) -> Iterator[Finding]:
    """An error for late load, a warning for failed requests."""
    history, load = evidence.history, evidence.load
    if load is None:
        return
    limit_ms, late_ms = history.run.max_late_ms, load.late_ms.p99
    if limit_ms is not None and late_ms is not None and late_ms > limit_ms:
        message = f"the load came late: p99 {duration(late_ms)}, limit {duration(limit_ms)}"
        yield Finding("load", Level.ERROR, message, invalid=True)
    if load.failed:
        unanswered = sum(request.done_ns is None for request in history.requests)
        part = f", {unanswered:,} of them without an answer" if unanswered else ""
        yield Finding("load", Level.WARNING, f"{plural(load.failed, 'request')} failed{part}")
