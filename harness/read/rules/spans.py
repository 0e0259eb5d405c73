"""Whether the traces are complete."""

from __future__ import annotations

from collections.abc import Iterator

from ...stacks.ownership import CodeOwnership
from ..evidence import Evidence
from ..finding import Cost, CostUnit, Finding, Level
from ..place import blamed, line_of
from ..spans.broken_trace import BrokenTrace
from ..units import plural

ORDER = 100

_STEPS = {
    "run_in_executor": "Call asyncio.to_thread, or submit contextvars.copy_context().run with the function.",
    "submit": "Submit contextvars.copy_context().run with the function.",
    "Thread.start": "Give the thread contextvars.copy_context().run as its target, with the function.",
}


def findings(evidence: Evidence) -> Iterator[Finding]:
    """Warnings for traces that end, for missing parents and for dropped spans."""
    spans = evidence.spans
    for broken in evidence.broken_traces:
        yield _broken(broken, evidence.history.ownership(broken.pid))
    if spans.orphans:
        message = f"{plural(spans.orphans, 'span')} whose parent is not in the record"
        yield Finding("spans", Level.WARNING, message)
    if spans.dropped:
        yield Finding("spans", Level.WARNING, f"{plural(spans.dropped, 'span')} dropped")


def _broken(broken: BrokenTrace, ownership: CodeOwnership) -> Finding:
    where = broken.where
    others = f" and {plural(len(broken.roots) - 1, 'other name')}" if len(broken.roots) > 1 else ""
    message = (
        f'the trace of "{broken.span}" ends at {broken.how} '
        f"({line_of(where, ownership)}): {plural(broken.count, 'span')} "
        f'"{broken.roots[0]}"{others} of {broken.work} began without a parent'
    )
    return Finding(
        "spans",
        Level.WARNING,
        message,
        *blamed(where),
        cost=Cost(broken.count, CostUnit.SPANS),
        next=_STEPS.get(broken.how, _STEPS["submit"]),
    )
