"""The faults of a run: which were injected, for how long, and whether they were rolled back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ...record.event import FaultFailed, FaultFired, FaultInjected, FaultUndone
from ..history import History
from ..units import seconds


@dataclass(frozen=True, slots=True)
class FaultFigures:
    """One fault. *for_s* is null if it was never rolled back."""

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
    """Every fault that was injected, in order of time, and those that could not be."""
    injected = {event.id: event for event in history.of(FaultInjected)}
    undone = {event.id: event for event in history.of(FaultUndone)}
    failed = {event.id: event.error for event in history.of(FaultFailed)}
    fired = Counter(event.id for event in history.of(FaultFired))
    return tuple(
        _fault(
            history, fault_id, injected.get(fault_id), undone.get(fault_id), failed.get(fault_id, ""), fired
        )
        for fault_id in [*injected, *(id_ for id_ in failed if id_ not in injected)]
    )


def _fault(
    history: History,
    fault_id: str,
    began: FaultInjected | None,
    ended: FaultUndone | None,
    error: str,
    fired: Counter[str],
) -> FaultFigures:
    return FaultFigures(
        id=fault_id,
        kind=began.kind if began else "",
        at_s=seconds(history.since_start_ns(began.at_ns)) if began else None,
        for_s=seconds(ended.at_ns - began.at_ns) if began and ended else None,
        injected=began is not None,
        undone=ended is not None,
        # The runner's count is complete; the target's own events are lost when it is killed, or dropped.
        fired=max(ended.fired if ended else 0, fired[fault_id]),
        detail=began.detail if began else "",
        error=error,
    )
