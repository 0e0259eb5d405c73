"""What the program feeds faster than it is emptied: transports without drain, queues without a limit."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import CollectionLevel
from ...stacks.ownership import CodeOwnership
from ..evidence import Evidence
from ..finding import Cost, CostUnit, Finding, Level
from ..gauges import growth
from ..gauges.growth import GrownCollection, Growth, MemoryGrowth
from ..place import blamed, function_at
from ..units import duration, plural

ORDER = 62
# Lines that add to one collection and are named.
NAMED = 2
# Results that `functools` keeps of a function.
CACHES = ("cache", "lru_cache")


def findings(evidence: Evidence) -> Iterator[Finding]:
    """Warnings for what grew in transports and queues; a note for memory whose owner is not known."""
    history = evidence.history
    grown = growth.growths(history)
    for one in grown:
        ownership = history.ownership(one.pid)
        until = "now" if history.is_live else "its end"
        yield _transports(one, ownership) if one.kind == "transport" else _queues(one, ownership, until)
    explained = {one.pid for one in grown}
    for process in growth.memory(history):
        if process.pid not in explained:
            still = "is still growing" if history.is_live else "was still growing at the end"
            if process.collection is None:
                yield _memory(process, still)
            else:
                yield _collection(process, process.collection, still, history.ownership(process.pid))


def _transports(one: Growth, ownership: CodeOwnership) -> Finding:
    size = f"{one.size_bytes / 1e6:,.0f} MB in {plural(one.count, 'transport')}"
    when = f"they grew from {one.from_s:.1f} s to {one.to_s:.1f} s into the run"
    if one.place is not None:
        message = (
            f"{function_at(one.place, ownership)} writes without drain: {size} that nobody has read; {when}"
        )
    else:
        message = f"a transport is written to without drain: {size} that nobody has read; {when}"
    step = "Await drain() after each write, and give it a time limit; drop clients that do not read."
    return _finding(one, message, Cost(one.size_bytes / 1e6, CostUnit.MEGABYTES), step)


def _queues(one: Growth, ownership: CodeOwnership, until: str) -> Finding:
    waiting = f"{one.items or 0:,} items wait in {plural(one.count, 'queue')}"
    if one.oldest_s is not None:
        waiting += f", the oldest for about {duration(one.oldest_s * 1000)}"
    when = f"they grew from {one.from_s:.1f} s into the run until {until}"
    if one.place is not None:
        at = function_at(one.place, ownership)
        who = f"{at} puts into a {one.name} without maxsize faster than it is emptied"
    else:
        who = f"a {one.name} without maxsize is filled faster than it is emptied"
    # An item waits as long as the oldest one has; without that, the memory is what is known.
    cost = Cost(one.size_bytes / 1e6, CostUnit.MEGABYTES)
    if one.oldest_s is not None:
        cost = max(cost, Cost(one.oldest_s, CostUnit.STOOD_S), key=lambda cost: cost.weight)
    step = "Give the queue a maxsize and await put(), or start more consumers."
    return _finding(one, f"{who}: {waiting}; {when}", cost, step)


def _memory(process: MemoryGrowth, still: str) -> Finding:
    message = (
        f"the resident memory of process {process.pid} grew from {process.from_bytes / 1e6:,.0f} MB to "
        f"{process.to_bytes / 1e6:,.0f} MB in {process.lasted_s:.0f} s, and {still}"
    )
    step = "Attach the console, and ask it which lines allocate memory that stays: memory --for 10s."
    return Finding("growth", Level.NOTE, message, next=step)


def _collection(
    process: MemoryGrowth, grown: GrownCollection, still: str, ownership: CodeOwnership
) -> Finding:
    level, lines = grown.level, grown.filling.lines
    size = f", about {level.size_bytes / 1e6:,.0f} MB" if level.size_bytes else ""
    adds = " and ".join(function_at(line, ownership) for line in lines[:NAMED])
    message = (
        f"{_held(level, ownership)} grew from {grown.from_items:,} to {level.items:,} items in "
        f"{grown.lasted_s:.0f} s{size}, and {still}; "
        + (f"{adds} adds to it; " if adds and level.kind not in CACHES else "")
        + f"the resident memory of process {process.pid} grew from {process.from_bytes / 1e6:,.0f} MB to "
        f"{process.to_bytes / 1e6:,.0f} MB"
    )
    return Finding(
        "growth",
        # A program that ends may gather its results; what is emptied somewhere may be a cache that fills.
        Level.WARNING if process.serves and grown.filling.has_no_end else Level.NOTE,
        message,
        *blamed(lines[0] if lines else None),
        cost=Cost((process.to_bytes - process.from_bytes) / 1e6, CostUnit.MEGABYTES),
        next="Bound it: give it a greatest size, or remove each item when its work is done.",
    )


def _held(level: CollectionLevel, ownership: CodeOwnership) -> str:
    where = f" ({ownership.short(level.file)})" if level.file else ""
    if level.kind in CACHES:
        return f"the cache of {level.name}{where}"
    is_named = level.holder in ("global", "attribute")
    return (f"the {level.kind} {level.name}" if is_named else f"a {level.kind} of {level.name}") + where


def _finding(one: Growth, message: str, cost: Cost, step: str) -> Finding:
    return Finding("growth", Level.WARNING, message, *blamed(one.place), cost=cost, next=step)
