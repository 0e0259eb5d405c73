"""The probe's events of this process, kept in memory, so that they can be judged while it runs.

Bounded, however long the process lives. Of an event that is written again while it lasts the newest is kept,
of readings in a row fewer and fewer, so that they still reach back to the start. A finalizer or a signal
handler may write, so nothing takes a lock: each change is one step of the interpreter.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TypeVar

from ..record.observation import (
    AwaitSite,
    Blocked,
    BufferFed,
    BufferFound,
    CallsCounted,
    CallsStood,
    CancelSwallowed,
    ChildStuck,
    CollectionsRead,
    Event,
    ExceptionLost,
    GaugesRead,
    LoopSpun,
    LoopStarted,
    NeverAwaited,
    Standstill,
    TaskDestroyed,
    TaskDied,
    TasksCounted,
    WakeupMissed,
    ZombiesFound,
)

T = TypeVar("T")

# Late turns. Further ones are still counted by their loop, and a judgement says how many it lacks.
BLOCKS = 500
# What was seen of one kind, each counted once.
THINGS = 500
# The lines at which tasks wait, which the censuses refer to by number; the census forgets more than these.
PLACES = 2_000
READINGS = 300
OTHERS = 500

# What tells those that are written once from others of their kind. An event is written again when its count
# has grown, or while it lasts.
_SAME: dict[type[Event], tuple[str, ...]] = {
    AwaitSite: ("place",),
    BufferFed: ("number", "at_ns"),
    BufferFound: ("number",),
    CallsCounted: ("call", "function", "file", "line", "caller", "argument"),
    CallsStood: ("pool", "began_ns"),
    CancelSwallowed: ("at_ns",),
    ChildStuck: ("child", "began_ns"),
    ExceptionLost: ("at_ns",),
    LoopSpun: ("loop", "at_ns"),
    LoopStarted: ("loop",),
    NeverAwaited: ("at_ns",),
    Standstill: ("number",),
    TaskDestroyed: ("at_ns",),
    TaskDied: ("number",),
    WakeupMissed: ("loop", "began_ns"),
}
_READINGS = (CollectionsRead, GaugesRead, TasksCounted, ZombiesFound)


class KeptEvents:
    """Keeps the events that a judgement needs; not those of a feature that is asked for, such as samples."""

    def __init__(self) -> None:
        self._blocks: deque[Blocked] = deque(maxlen=BLOCKS)
        self._lasting: dict[int, Blocked] = {}  # by loop: the block that had not ended when it was written
        self._things: dict[type[Event], dict[object, Event]] = {kind: {} for kind in _SAME}
        self._readings: dict[type[Event], list[Event]] = {kind: [] for kind in _READINGS}
        self._others: deque[Event] = deque(maxlen=OTHERS)

    def take(self, event: Event) -> None:
        """Keep an event that the probe has written."""
        kind = type(event)
        if isinstance(event, Blocked):
            if event.ended:
                self._blocks.append(event)
            else:
                self._lasting[event.loop] = event
        elif (things := self._things.get(kind)) is not None:
            things[tuple(getattr(event, name) for name in _SAME[kind])] = event
            if len(things) > (PLACES if kind is AwaitSite else THINGS):
                _forget_oldest(things)
        elif (readings := self._readings.get(kind)) is not None:
            readings.append(event)
            if len(readings) > READINGS:
                # The first and the newest stay.
                del readings[1:-1:2]
        else:
            self._others.append(event)

    def blocks(self) -> tuple[Blocked, ...]:
        """The late turns, those that have ended first, oldest first; each once: ended if it has."""
        lasting = tuple(self._lasting.copy().values())
        latest = {(block.loop, block.at_ns): block for block in (*lasting, *copied(self._blocks))}
        return tuple(sorted(latest.values(), key=lambda block: not block.ended))

    def others(self) -> tuple[Event, ...]:
        """What is neither late turns, nor repeated, nor a reading; oldest first."""
        return copied(self._others)

    def events(self) -> tuple[Event, ...]:
        """All of them; those of one kind are in the order of their first writing."""
        things = [event for of_kind in self._things.values() for event in of_kind.copy().values()]
        readings = [event for of_kind in self._readings.values() for event in of_kind.copy()]
        return (*self.blocks(), *things, *readings, *self.others())


def copied(items: deque[T]) -> tuple[T, ...]:
    """The items of a deque that other threads change meanwhile."""
    # Copying a deque is one step of the interpreter; iterating over it is not.
    return tuple(items.copy())


def _forget_oldest(things: dict[object, Event]) -> None:
    with suppress(RuntimeError):  # another thread has changed it just now, and forgets one itself
        things.pop(next(iter(things)), None)
