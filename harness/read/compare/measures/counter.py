"""How much a counter grew between two times, from readings at other times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar


class Reading(Protocol):
    """What counters of a loop were at a time."""

    @property
    def at_ns(self) -> int: ...

    @property
    def pid(self) -> int: ...

    @property
    def loop(self) -> int: ...


R = TypeVar("R", bound=Reading)


def by_loop(readings: Iterable[R]) -> dict[tuple[int, int], list[R]]:
    """The readings of each loop, by its process and its number."""
    found: dict[tuple[int, int], list[R]] = {}
    for reading in readings:
        found.setdefault((reading.pid, reading.loop), []).append(reading)
    return found


def between(readings: Sequence[Reading], name: str, from_ns: int, to_ns: int) -> int:
    """How much the counter *name* grew, from straight lines between its readings, in the order of time."""
    return round(_at(readings, name, to_ns) - (_at(readings, name, from_ns) if from_ns else 0.0))


def _at(readings: Sequence[Reading], name: str, at_ns: int) -> float:
    before = [reading for reading in readings if reading.at_ns <= at_ns]
    after = [reading for reading in readings if reading.at_ns > at_ns]
    if not before:
        return 0.0
    value: float = getattr(before[-1], name)
    if not after:
        return value
    share = (at_ns - before[-1].at_ns) / (after[0].at_ns - before[-1].at_ns)
    later: float = getattr(after[0], name)
    return value + share * (later - value)
