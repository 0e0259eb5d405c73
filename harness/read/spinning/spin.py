"""Loops that spun: what ran again at each of their turns, for how long, and what that burnt."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ...record.event import Coroutine, Frame, LoopSpun
from ..history import History
from ..units import seconds

# One look may meet a moment in which a program waits for its own start, or for the end of a thread.
LOOKS, LEAST_NS = 2, 1_000_000_000


@dataclass(frozen=True, slots=True)
class Spin:
    """The spins of one task, callback, timer or file in one loop, added up."""

    pid: int
    name: str
    coroutine: Coroutine | None
    callback: Frame | None
    about: tuple[Coroutine, ...]  # tasks that the callback refers to
    is_timer: bool
    file: str  # why the callback's file is always ready; "" for anything else
    count: int  # of its steps or calls in a turn
    from_s: float  # since the run's start
    lasted_s: float
    turns_per_s: float
    cpu_share: float  # of a processor, meanwhile
    burnt_s: float  # CPU time of the turns in which nothing else ran


def spins(history: History) -> tuple[Spin, ...]:
    """The spins that lasted, those first that burnt most."""
    latest = {(one.pid, one.loop, one.at_ns): one for one in history.of(LoopSpun)}
    groups: dict[tuple[object, ...], list[LoopSpun]] = defaultdict(list)
    for one in latest.values():
        if one.looks >= LOOKS and one.until_ns - one.at_ns >= LEAST_NS:
            groups[one.pid, one.loop, one.name, one.callback, one.file].append(one)
    found = [_added_up(group, history) for group in groups.values()]
    return tuple(sorted(found, key=lambda spin: -spin.burnt_s))


def _added_up(group: list[LoopSpun], history: History) -> Spin:
    first, last = group[0], group[-1]
    lasted_ns = sum(one.until_ns - one.at_ns for one in group)
    return Spin(
        pid=last.pid,
        name=last.name,
        coroutine=last.coroutine,
        callback=last.callback,
        about=last.about,
        is_timer=last.is_timer,
        file=last.file,
        count=last.count,
        from_s=seconds(history.since_start_ns(first.at_ns)),
        lasted_s=seconds(lasted_ns),
        turns_per_s=sum(one.turns for one in group) / lasted_ns * 1e9,
        cpu_share=sum(one.cpu_ns for one in group) / lasted_ns,
        burnt_s=seconds(sum(one.cpu_ns * one.alone for one in group)),
    )
