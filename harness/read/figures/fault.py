"""The faults of a run: which were injected, for how long, and whether they were rolled back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ...record.event import FaultFailed, FaultFired, FaultInjected, FaultUndone
from ..history import History
from ..units import seconds


@dataclass(frozen=True, slots=True)
class FaultFigures:
    """One fault. *for_s* is null if it was never rolled back, counts that were not taken are null."""

    id: str
    kind: str
    at_s: float | None
    for_s: float | None
    injected: bool
    undone: bool
    fired: int
    detail: str
    error: str
    place: str = ""  # the function, "module:qualified.name"
    probability: float = 1.0  # that a call is hit
    calls: int | None = None  # of the function, in all processes, while the fault was in force
    processes: int | None = None  # in which the function was found and changed
    by_hand: bool = False  # injected from a console


def faults(history: History) -> tuple[FaultFigures, ...]:
    """Every fault that was injected, in order of time, and those that could not be."""
    injected = {event.id: event for event in history.of(FaultInjected)}
    undone = {event.id: event for event in history.of(FaultUndone)}
    failed = {event.id: event.error for event in history.of(FaultFailed)}
    fired = Counter(event.id for event in history.of(FaultFired))
    return tuple(
        _fault(id_, history, injected.get(id_), undone.get(id_), failed.get(id_, ""), fired[id_])
        for id_ in {**injected, **failed}
    )


def _fault(
    id_: str, history: History, began: FaultInjected | None, ended: FaultUndone | None, error: str, fired: int
) -> FaultFigures:
    return FaultFigures(
        id=id_,
        kind=began.kind if began else "",
        at_s=seconds(history.since_start_ns(began.at_ns)) if began else None,
        for_s=seconds(ended.at_ns - began.at_ns) if began and ended else None,
        injected=began is not None,
        undone=ended is not None,
        # The runner's count is complete; the target's own events are lost when it is killed, or dropped.
        fired=max(ended.fired if ended else 0, fired),
        detail=began.detail if began else "",
        error=error,
        place=began.place if began else "",
        probability=began.probability if began else 1.0,
        calls=ended.calls if ended else None,
        processes=ended.processes if ended else None,
        by_hand=began.by_hand if began else False,
    )
