"""Callbacks that were ready while their loop slept, and the calls from other threads that made them so."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ...record.event import ForeignCall, Frame, WakeupMissed
from ...stacks.turn_stack import TurnStack
from ..history import History
from ..units import seconds


@dataclass(frozen=True, slots=True)
class MissedWakeups:
    """The callbacks of one kind that stood ready in one loop."""

    pid: int
    loop: int
    label: str  # the coroutine's name, or the callback's
    place: Frame | None  # where the task waited
    count: int  # how often that was found
    stood_s: float  # together, at least
    caller: Frame | None  # the line that called from another thread; `None` if it was not seen
    called: str  # what it called: "Queue.put_nowait"
    thread: str


def missed(history: History) -> tuple[MissedWakeups, ...]:
    """By what stood ready, longest first."""
    latest = {(event.pid, event.loop, event.began_ns): event for event in history.of(WakeupMissed)}
    groups: dict[tuple[int, int, str], list[WakeupMissed]] = defaultdict(list)
    for event in latest.values():
        groups[event.pid, event.loop, event.label].append(event)
    found = []
    for (pid, loop, label), events in groups.items():
        of = next((event.coroutine for event in events if event.coroutine is not None), None)
        place = TurnStack(of.stack, history.ownership(pid)).blamed if of is not None else None
        stood_s = seconds(sum(event.at_ns - event.began_ns for event in events))
        call = _call(pid, loop, history)
        found.append(MissedWakeups(pid, loop, label, place, len(events), stood_s, *call))
    return tuple(sorted(found, key=lambda one: -one.stood_s))


def _call(pid: int, loop: int, history: History) -> tuple[Frame | None, str, str]:
    """The line of the first call that was seen on another thread, what it called, and the thread."""
    for call in history.of(ForeignCall):
        if (call.pid, call.loop) == (pid, loop):
            caller = TurnStack(call.stack, history.ownership(pid)).blamed
            if caller is not None:
                after = call.stack[call.stack.index(caller) + 1 :]
                return caller, after[0].function if after else "call_soon", call.thread
    return None, "", ""
