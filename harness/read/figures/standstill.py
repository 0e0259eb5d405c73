"""Standstills: tasks waited for one thing of the program, and none of them was served for long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ...record.event import Blocked, Coroutine, Standstill, TargetStopping, TasksAtPlace
from ..history import History
from ..units import seconds

# A deadlock is told as soon as it has lasted; of anything else, the thing may only be slow.
DEADLOCK_S, GONE_S, SLOW_S, AT_WORK_S, TIMED_S = 1.0, 2.0, 3.0, 10.0, 30.0
# Where tasks were served before, they were served at least this many times as often.
TIMES = 4
# Fewer tasks may be those that wait on purpose. Some of them came since it stood, and not all at once.
CROWD, CAME, LATER_S = 3, 2, 1.0


@dataclass(frozen=True, slots=True)
class Stood:
    """One thing that served nobody."""

    pid: int
    what: str  # as in `Standstill`
    thing: str
    waiting: TasksAtPlace
    stood_s: float  # without the time in which the loop was blocked
    arrived: int
    holders: tuple[TasksAtPlace, ...]
    held_by: int | None
    cause: str
    works: bool
    ended: bool
    times: int = 1  # how often the same was found at the same place; this was the longest

    @property
    def coroutine(self) -> Coroutine:
        return self.waiting.coroutine


def stood(history: History) -> tuple[Stood, ...]:
    """What stood still for too long, longest first."""
    stopping = history.last(TargetStopping)
    stopped_ns = stopping.at_ns if stopping is not None else history.ended_ns
    found: dict[object, list[Stood]] = {}
    for event in _latest(history.of(Standstill)):
        if event.waiting is None or event.since_ns >= stopped_ns:
            continue
        one = _of(event, event.waiting, min(event.at_ns, stopped_ns), history)
        if _is_told(one, event):
            of = event.waiting.coroutine
            found.setdefault((event.pid, event.what, event.cause, of.file, of.line), []).append(one)
    longest = [_longest(same) for same in found.values()]
    return tuple(sorted(longest, key=lambda one: -one.stood_s))


def _latest(events: Iterable[Standstill]) -> list[Standstill]:
    return list({(event.pid, event.number): event for event in events}.values())


def _of(event: Standstill, waiting: TasksAtPlace, until_ns: int, history: History) -> Stood:
    blocked_ns = sum(
        max(0, min(block.at_ns + block.held_ns, until_ns) - max(block.at_ns, event.since_ns))
        for block in history.of(Blocked)
        if block.ended and block.pid == event.pid
    )
    return Stood(
        pid=event.pid,
        what=event.what,
        thing=event.thing,
        waiting=waiting,
        stood_s=seconds(max(0, until_ns - event.since_ns - blocked_ns)),
        arrived=event.arrived,
        holders=event.holders,
        held_by=event.held_by,
        cause=event.cause,
        works=event.works,
        ended=event.ended,
    )


def _is_told(one: Stood, event: Standstill) -> bool:
    if one.cause in ("itself", "circle"):
        return one.stood_s >= DEADLOCK_S
    if one.cause in ("gone", "feeders", "undone"):
        return one.stood_s >= GONE_S
    least_s = TIMED_S if event.timed else AT_WORK_S if event.works else SLOW_S
    least_s = max(least_s, TIMES * seconds(event.gap_ns))
    came_s = seconds(event.arrived_ns - event.since_ns)
    return one.waiting.count >= CROWD and one.arrived >= CAME and came_s >= LATER_S and one.stood_s >= least_s


def _longest(same: list[Stood]) -> Stood:
    return replace(max(same, key=lambda one: one.stood_s), times=len(same))
