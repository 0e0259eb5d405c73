"""What grew for as long as it was seen: unsent data in transports, queues without a limit, resident memory.

A level that rises at once is a burst, one that falls again has drained, and one that rises to a plateau is a
cache or a warm-up. Growth is what rises step by step, and has not fallen again when it was last seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ...record.event import (
    BufferFed,
    BufferFound,
    CollectionLevel,
    CollectionsRead,
    Frame,
    GaugesRead,
    TargetStopping,
)
from ...stacks.turn_stack import TurnStack
from ..history import History
from ..units import seconds
from .filling import Filling, filling

# Less than this is not worth a word: data in the transports that one line writes to, items of a queue.
LEAST_BYTES, LEAST_ITEMS = 2_000_000, 200
# Resident memory is more than what the program keeps: it is told only from a greater growth on, and in time.
LEAST_RSS_BYTES, LEAST_RSS_NS = 100_000_000, 10_000_000_000
# What has less than this share of its highest level at the end has drained.
KEPT = 0.7
# Between these shares of its highest level, it rises in at least this many readings and this long.
LOW, HIGH = 0.05, 0.9
READINGS, RISE_NS = 3, 400_000_000
# A queue and the memory may reach a plateau: of their growth, each later third of the time has this share.
THIRD = 0.12
# A collection whose growth is a smaller part of the memory's does not explain it: it is seen only from when
# the memory has begun to grow, and its size is an estimate.
PART = 0.2

# Times (ns) and levels.
Levels = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Growth:
    """Buffers of one kind that one line of the program fed."""

    pid: int
    kind: str  # "transport" or "queue"
    name: str  # of the class
    count: int  # of the buffers
    items: int | None  # of queues
    size_bytes: int
    oldest_s: float | None  # how long the oldest item of a queue has waited, about
    place: Frame | None  # the line that adds to it; `None` if it was not seen
    from_s: float  # since the run's start: the rise
    to_s: float


@dataclass(frozen=True, slots=True)
class GrownCollection:
    """What the program has under one name, and adds to without an end."""

    level: CollectionLevel  # when it was last seen
    from_items: int
    lasted_s: float
    filling: Filling


@dataclass(frozen=True, slots=True)
class MemoryGrowth:
    """The resident memory of a process that grew until the end."""

    pid: int
    from_bytes: int
    to_bytes: int
    lasted_s: float
    serves: bool  # the process accepts connections
    collection: GrownCollection | None  # that has most of it, if one is known


@dataclass(frozen=True, slots=True)
class _Buffer:
    number: int
    kind: str
    name: str
    levels: Levels
    size_bytes: int
    fed_per_s: float | None


def growths(history: History) -> tuple[Growth, ...]:
    """The buffers that grew, by the line that fed them, largest first."""
    found = [one for pid, readings in _by_process(history).items() for one in _of(pid, readings, history)]
    return tuple(sorted(found, key=lambda growth: -growth.size_bytes))


def memory(history: History) -> tuple[MemoryGrowth, ...]:
    """The processes whose resident memory grew until the end."""
    return tuple(
        _memory_growth(pid, levels, history)
        for pid, readings in _by_process(history).items()
        if len(levels := [(r.at_ns, r.rss_bytes) for r in readings if r.rss_bytes is not None]) >= READINGS
        and levels[-1][0] - levels[0][0] >= LEAST_RSS_NS
        and levels[-1][1] - levels[0][1] >= LEAST_RSS_BYTES
        and goes_on(_above_first(levels))
    )


def rise(levels: Levels) -> tuple[int, int] | None:
    """When the levels rose from next to nothing to most of the highest; `None` if that is no growth."""
    highest = max(level for _, level in levels)
    if not highest or levels[-1][1] < highest * KEPT:
        return None
    start = max((i for i, (_, level) in enumerate(levels) if level <= highest * LOW), default=0)
    end = next(i for i, (_, level) in enumerate(levels) if i >= start and level >= highest * HIGH)
    between = levels[start : end + 1]
    risen = sum(after > before for (_, before), (_, after) in pairwise(between))
    began_ns, ended_ns = levels[start][0], levels[end][0]
    return (began_ns, ended_ns) if risen >= READINGS and ended_ns - began_ns >= RISE_NS else None


def goes_on(levels: Levels) -> bool:
    """Whether the levels rose until the end, and not to a plateau."""
    if (risen := rise(levels)) is None:
        return False
    began_ns, last_ns, highest = risen[0], levels[-1][0], levels[-1][1]
    third_ns = (last_ns - began_ns) / 3
    first, second = (_level_at(levels, began_ns + third_ns * n) for n in (1, 2))
    return second - first >= highest * THIRD and highest - second >= highest * THIRD


def _above_first(levels: Levels) -> Levels:
    return [(at_ns, level - levels[0][1]) for at_ns, level in levels]


def _memory_growth(pid: int, levels: Levels, history: History) -> MemoryGrowth:
    (began_ns, from_bytes), (ended_ns, to_bytes) = levels[0], levels[-1]
    readings = [read for read in history.of(CollectionsRead) if read.pid == pid]
    return MemoryGrowth(
        pid,
        from_bytes,
        to_bytes,
        seconds(ended_ns - began_ns),
        any(read.serves for read in readings),
        _collection(readings, to_bytes - from_bytes),
    )


def _collection(readings: Sequence[CollectionsRead], grown_bytes: int) -> GrownCollection | None:
    """The one that grew by most, if that is a good part of what the memory has grown by."""
    seen: dict[tuple[str, ...], list[tuple[int, CollectionLevel]]] = defaultdict(list)
    for read in readings:
        for level in read.collections:
            seen[level.kind, level.holder, level.name, level.file].append((read.at_ns, level))
    grown: list[tuple[int, GrownCollection]] = []
    for levels in seen.values():
        (began_ns, first), (ended_ns, last) = levels[0], levels[-1]
        by_bytes = last.size_bytes - first.size_bytes
        is_part = by_bytes >= grown_bytes * PART or not last.size_bytes
        if is_part and goes_on(_above_first([(at_ns, level.items) for at_ns, level in levels])):
            lasted_s = seconds(ended_ns - began_ns)
            grown.append((by_bytes, GrownCollection(last, first.items, lasted_s, filling(last))))
    return max(grown, key=lambda one: one[0])[1] if grown else None


def _level_at(levels: Levels, at_ns: float) -> float:
    """The level at that time, on the line between the readings around it."""
    after = next(i for i, (reading_ns, _) in enumerate(levels) if reading_ns >= at_ns)
    if not after:
        return levels[0][1]
    (before_ns, low), (after_ns, high) = levels[after - 1 : after + 1]
    return low + (high - low) * (at_ns - before_ns) / max(1, after_ns - before_ns)


def _of(pid: int, readings: Sequence[GaugesRead], history: History) -> Iterator[Growth]:
    fed = _feeding_lines(pid, history)
    groups: dict[tuple[str, Frame | None], list[tuple[_Buffer, tuple[int, int]]]] = defaultdict(list)
    every = list(_buffers(pid, readings, history))
    # Of many buffers only some are observed: they stand for those of their class.
    like: dict[tuple[str, str], set[Frame]] = defaultdict(set)
    for buffer in every:
        if (line := fed.get(buffer.number)) is not None:
            like[buffer.kind, buffer.name].add(line)
    for buffer in every:
        risen = rise(buffer.levels)
        if risen is not None and (buffer.kind != "queue" or goes_on(buffer.levels)):
            groups[buffer.kind, _place(buffer, fed, like)].append((buffer, risen))
    for (kind, place), grown in groups.items():
        buffers = [buffer for buffer, _ in grown]
        items = sum(buffer.levels[-1][1] for buffer in buffers) if kind == "queue" else None
        size_bytes = sum(buffer.size_bytes for buffer in buffers)
        if (items or 0) < LEAST_ITEMS if kind == "queue" else size_bytes < LEAST_BYTES:
            continue
        yield Growth(
            pid=pid,
            kind=kind,
            name=buffers[0].name,
            count=len(buffers),
            items=items,
            size_bytes=size_bytes,
            oldest_s=max(filter(None, map(_oldest_s, buffers)), default=None) if kind == "queue" else None,
            place=place,
            from_s=seconds(history.since_start_ns(min(began_ns for _, (began_ns, _) in grown))),
            to_s=seconds(history.since_start_ns(max(ended_ns for _, (_, ended_ns) in grown))),
        )


def _place(buffer: _Buffer, fed: dict[int, Frame], like: dict[tuple[str, str], set[Frame]]) -> Frame | None:
    """The line that feeds it, or else the only one that feeds others of its class."""
    lines = like[buffer.kind, buffer.name]
    return fed.get(buffer.number) or (next(iter(lines)) if len(lines) == 1 else None)


def _oldest_s(buffer: _Buffer) -> float | None:
    """How long the oldest item of a queue has waited: since as many were put as there are now."""
    if not buffer.fed_per_s:
        return None
    return min(buffer.levels[-1][1] / buffer.fed_per_s, seconds(buffer.levels[-1][0] - buffer.levels[0][0]))


def _buffers(pid: int, readings: Sequence[GaugesRead], history: History) -> Iterator[_Buffer]:
    for found in history.of(BufferFound):
        if found.pid != pid:
            continue
        # Before it was found it held little.
        levels: Levels = [(found.at_ns, 0)]
        size_bytes, fed_per_s = 0, None
        for reading in readings:
            for level in reading.buffers:
                if level.number == found.number:
                    levels.append((reading.at_ns, level.size_bytes if level.items is None else level.items))
                    size_bytes, fed_per_s = level.size_bytes, level.fed_per_s or fed_per_s
            levels = [(min(reading.at_ns, levels[0][0]), 0), *levels[1:]] if len(levels) == 1 else levels
        yield _Buffer(found.number, found.kind, found.name, levels, size_bytes, fed_per_s)


def _feeding_lines(pid: int, history: History) -> dict[int, Frame]:
    """For each buffer: the line to blame in most of the calls that added to it."""
    ownership = history.ownership(pid)
    lines: dict[int, Counter[Frame]] = defaultdict(Counter)
    for call in history.of(BufferFed):
        if call.pid == pid and (blamed := TurnStack(call.stack, ownership).blamed) is not None:
            lines[call.number][blamed] += 1
    return {number: counts.most_common(1)[0][0] for number, counts in lines.items()}


def _by_process(history: History) -> dict[int, list[GaugesRead]]:
    stopping = history.last(TargetStopping)
    stopped_ns = stopping.at_ns if stopping else history.ended_ns
    readings: dict[int, list[GaugesRead]] = defaultdict(list)
    for reading in history.of(GaugesRead):
        if reading.at_ns <= stopped_ns:
            readings[reading.pid].append(reading)
    return readings
