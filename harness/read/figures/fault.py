"""The faults of a run: which became active, for how long, and whether they were rolled back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ...record.event import FaultFailed, FaultFired, FaultInjected, FaultUndone
from ..history import History
from ..units import seconds


@dataclass(frozen=True, slots=True)
class FaultFigures:
    """One planted fault. *for_s* is null for one that was never rolled back."""

    id: str
    kind: str
    at_s: float | None
    for_s: float | None
    injected: bool
    undone: bool
    fired: int
    detail: str
    error: str


def faults(history: History) -> tuple[FaultFigures, ...]:
    """Every fault that was injected or could not be, in order of time."""
    injected = {event.id: event for event in history.of(FaultInjected)}
    undone = {event.id: event for event in history.of(FaultUndone)}
    failed = {event.id: event.error for event in history.of(FaultFailed)}
    seen = Counter(event.id for event in history.of(FaultFired))
    return tuple(
        _fault(
            history, fault_id, injected.get(fault_id), undone.get(fault_id), failed.get(fault_id, ""), seen
        )
        for fault_id in [*injected, *(id_ for id_ in failed if id_ not in injected)]
    )


def _fault(
    history: History,
    fault_id: str,
    began: FaultInjected | None,
    ended: FaultUndone | None,
    error: str,
    seen: Counter[str],
) -> FaultFigures:
    return FaultFigures(
        id=fault_id,
        kind=began.kind if began else "",
        at_s=seconds(history.since_start_ns(began.at_ns)) if began else None,
        for_s=seconds(ended.at_ns - began.at_ns) if began and ended else None,
        injected=began is not None,
        undone=ended is not None,
        # The runner's count is complete; the target's own events stop when it is killed, or are dropped.
        fired=max(ended.fired if ended else 0, seen[fault_id]),
        detail=began.detail if began else "",
        error=error,
    )
