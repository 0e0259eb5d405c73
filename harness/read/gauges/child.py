"""Children that stood in a write to a pipe that nobody read, and those that were never waited for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePath

from ...record.event import ChildStuck, Frame, ZombiesFound
from ...stacks.turn_stack import TurnStack
from ..history import History
from ..units import seconds

# A child that stood for less may have been read from after all.
LEAST_S = 1.0
# Zombies are a leak if there are this many, found in this many looks over this long.
LEAST_ZOMBIES, LOOKS, SPREAD_S = 5, 2, 1.0
_NAMES = {1: "stdout", 2: "stderr"}
_ARGUMENT_CHARS = 40


@dataclass(frozen=True, slots=True)
class StuckChildren:
    """The children for whose end one line of the program waits, while they stand."""

    pid: int
    count: int
    command: str  # of the first one, cut
    pipe: str  # "stdout", "stderr", "descriptor 5"
    stood_s: float  # together, at least
    place: Frame | None  # the line that waits
    thread: str  # "" for a task
    on_loop: bool


@dataclass(frozen=True, slots=True)
class Zombies:
    """Children that have ended, and were not waited for when the record ended."""

    pid: int
    count: int
    names: tuple[str, ...]
    grew: bool  # more and more over the run


def stuck(history: History) -> tuple[StuckChildren, ...]:
    """By the line that waits, those that stood longest first."""
    latest = {(event.pid, event.child, event.began_ns): event for event in history.of(ChildStuck)}
    groups: dict[tuple[int, Frame | None], list[ChildStuck]] = defaultdict(list)
    for event in latest.values():
        if seconds(event.at_ns - event.began_ns) >= LEAST_S:
            groups[event.pid, _place(event, history)].append(event)
    found = [
        StuckChildren(
            pid=pid,
            count=len(events),
            command=_short(events[0].command),
            pipe=_NAMES.get(events[0].descriptor, f"descriptor {events[0].descriptor}"),
            stood_s=seconds(sum(event.at_ns - event.began_ns for event in events)),
            place=place,
            thread=events[0].thread,
            on_loop=any(event.on_loop for event in events),
        )
        for (pid, place), events in groups.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.stood_s))


def zombies(history: History) -> tuple[Zombies, ...]:
    """Of each process, those at the end of its record."""
    events: dict[int, list[ZombiesFound]] = defaultdict(list)
    for event in history.of(ZombiesFound):
        events[event.pid].append(event)
    return tuple(
        Zombies(pid, last.count, last.names, grew=_grew(all_of))
        for pid, all_of in events.items()
        if (last := all_of[-1]).count
    )


def _grew(events: list[ZombiesFound]) -> bool:
    """Whether the zombies came one after the other, and none of them left."""
    counts = [event.count for event in events]
    return (
        counts[-1] >= LEAST_ZOMBIES
        and counts == sorted(counts)
        and len(counts) >= LOOKS
        and seconds(events[-1].at_ns - events[0].at_ns) >= SPREAD_S
    )


def _place(event: ChildStuck, history: History) -> Frame | None:
    stack = event.coroutine.stack if event.coroutine is not None else event.stack
    return TurnStack(stack, history.ownership(event.pid)).blamed


def _short(command: tuple[str, ...]) -> str:
    """``python3 -c 'import sys…'`` without the folder of the program."""
    if not command:
        return "a child process"
    words = [PurePath(command[0]).name, *command[1:]]
    text = " ".join(" ".join(words).split())
    return text if len(text) <= _ARGUMENT_CHARS else f"{text[:_ARGUMENT_CHARS]}…"
