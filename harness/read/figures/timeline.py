"""The run in equal time steps: requests sent and answered, their latency, and how busy the loops were.

Latency counts in the step in which the request was due, an answer in the step in which it arrived: so a block
shows as slow requests while it lasts, and as answers after it. A request without an answer counts as failed
in the step in which it was due. A loop is busy in the steps that a turn overlaps, although its counters add
the turn only when it ends.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from ...record.event import LoopSampled
from ...record.page import UNCOUNTED
from ..blocks.block import Block
from ..history import History
from ..percentile import percentiles
from ..units import in_ms, ms, seconds
from .load import has_load

# A quarter of a second shows a single block; a long run has as many steps as fit on a screen.
STEP_S = 0.25
STEPS = 240
# In a step with fewer requests, the p99 is the slowest of them, so it is not told.
LEAST_FOR_P99 = 100


@dataclass(frozen=True, slots=True)
class Timeline:
    """One value per step of *step_s*; null in a step without any. Nothing was counted without load."""

    step_s: float
    sent: tuple[int, ...] | None
    completed: tuple[int, ...] | None
    failed: tuple[int, ...] | None
    p50_ms: tuple[float | None, ...]
    p90_ms: tuple[float | None, ...]
    p99_ms: tuple[float | None, ...]  # null in a step of fewer than 100 requests
    max_ms: tuple[float | None, ...]
    busy_ratio: tuple[float | None, ...]
    longest_ms: tuple[float | None, ...]  # the longest turn known to overlap the step


def timeline(history: History, blocks: tuple[Block, ...]) -> Timeline:
    """The steps from the run's start to the end of the record."""
    whole_s = max(seconds(history.since_start_ns(history.ended_ns)), STEP_S)
    step_s = max(STEP_S, round(whole_s / STEPS, 3))
    steps = max(1, -int(-whole_s // step_s))

    def step(at_ns: int) -> int:
        return min(steps - 1, max(0, int(seconds(history.since_start_ns(at_ns)) / step_s)))

    sent, completed, failed = [0] * steps, [0] * steps, [0] * steps
    latency: dict[int, list[int]] = defaultdict(list)
    for request in history.requests:
        if request.sent_ns is not None:
            sent[step(request.sent_ns)] += 1
        if request.done_ns is not None:
            (completed if request.ok else failed)[step(request.done_ns)] += 1
            if request.intended_ns is not None:
                latency[step(request.intended_ns)].append(request.done_ns - request.intended_ns)
        elif request.intended_ns is not None:
            # Its latency is only known as a lower bound, which would dwarf all others.
            failed[step(request.intended_ns)] += 1
    tails = [in_ms(percentiles(latency[index], (0.5, 0.9, 0.99, 1))) for index in range(steps)]
    busy, held = _loops(history, blocks, steps, step_s)
    for block in blocks:
        for index, _ in _overlaps(block.at_s, block.at_s + block.held_ms / 1000, steps, step_s):
            held[index] = max(held[index] or 0.0, block.held_ms)
    loaded = has_load(history)
    return Timeline(
        step_s=step_s,
        sent=tuple(sent) if loaded else None,
        completed=tuple(completed) if loaded else None,
        failed=tuple(failed) if loaded else None,
        p50_ms=tuple(tail[0] for tail in tails),
        p90_ms=tuple(tail[1] for tail in tails),
        p99_ms=tuple(
            tail[2] if len(latency[index]) >= LEAST_FOR_P99 else None for index, tail in enumerate(tails)
        ),
        max_ms=tuple(tail[3] for tail in tails),
        busy_ratio=tuple(busy),
        longest_ms=tuple(held),
    )


def _loops(
    history: History, blocks: tuple[Block, ...], steps: int, step_s: float
) -> tuple[list[float | None], list[float | None]]:
    """The busy share of the busiest loop and the longest turn, per step, from the loops' counters."""
    by_loop: dict[tuple[int, int], list[LoopSampled]] = defaultdict(list)
    for sample in history.of(LoopSampled):
        by_loop[sample.pid, sample.loop].append(sample)
    # Of these, only a lower bound of the busy time is known.
    uncounted = {
        (loop.started.pid, loop.started.loop)
        for loop in history.loops
        if loop.page is not None and loop.page.untimed & UNCOUNTED
    }
    busiest: list[float | None] = [None] * steps
    longest: list[float | None] = [None] * steps
    for (pid, number), samples in by_loop.items():
        held = _HeldTime(block for block in blocks if (block.pid, block.loop) == (pid, number))
        busy_s, sampled_s = [0.0] * steps, [0.0] * steps
        for before, after in pairwise(samples):
            start_s = seconds(history.since_start_ns(before.at_ns))
            end_s = seconds(history.since_start_ns(after.at_ns))
            grew_s = seconds(after.busy_ns - before.busy_ns)
            share = _short_share(held, start_s, end_s, grew_s)
            for index, (from_s, to_s) in _overlaps(start_s, end_s, steps, step_s):
                held_s = held.between(from_s, to_s)
                busy_s[index] += held_s + share * (to_s - from_s - held_s)
                sampled_s[index] += to_s - from_s
            # A block has its own place; any other turn ended between the two readings.
            if after.longest_ns > before.longest_ns and not held.ended_in(start_s, end_s):
                index = min(steps - 1, max(0, int((start_s + end_s) / 2 / step_s)))
                longest[index] = max(longest[index] or 0.0, ms(after.longest_ns))
        for index, whole_s in enumerate(sampled_s):
            if whole_s > 0 and (pid, number) not in uncounted:
                share = min(1.0, max(0.0, busy_s[index] / whole_s))
                busiest[index] = round(max(busiest[index] or 0.0, share), 4)
    return busiest, longest


class _HeldTime:
    """The time in which blocks held one loop."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        spans = sorted((block.at_s, block.at_s + block.held_ms / 1000) for block in blocks)
        self._starts = [start_s for start_s, _ in spans]
        self._ends = [end_s for _, end_s in spans]

    def between(self, from_s: float, to_s: float) -> float:
        """How long it was held in an interval, in seconds."""
        # The blocks of one loop follow each other.
        first, last = bisect_right(self._ends, from_s), bisect_left(self._starts, to_s)
        pairs = zip(self._starts[first:last], self._ends[first:last], strict=True)
        return sum(max(0.0, min(end_s, to_s) - max(start_s, from_s)) for start_s, end_s in pairs)

    def ended_in(self, from_s: float, to_s: float) -> bool:
        """Whether a block ended in an interval."""
        return bisect_right(self._ends, from_s) < bisect_right(self._ends, to_s)

    def since(self, at_s: float) -> float:
        """How long the block that holds the loop at *at_s* has lasted by then, in seconds; 0 for none."""
        index = bisect_right(self._starts, at_s) - 1
        return at_s - self._starts[index] if index >= 0 and self._ends[index] > at_s else 0.0


def _short_share(held: _HeldTime, start_s: float, end_s: float, counted_s: float) -> float:
    """The busy share of an interval outside of its blocks, from the busy time that was counted in it."""
    # A block counts in the interval in which it ends: what it took before is not of this one, what one in
    # progress has taken is.
    busy_s = counted_s - held.since(start_s) + held.since(end_s)
    held_s = held.between(start_s, end_s)
    free_s = end_s - start_s - held_s
    return min(1.0, max(0.0, (busy_s - held_s) / free_s)) if free_s > 0 else 0.0


def _overlaps(
    from_s: float, to_s: float, steps: int, step_s: float
) -> Iterator[tuple[int, tuple[float, float]]]:
    """The steps that an interval overlaps, each with the part of the interval in it."""
    for index in range(max(0, int(from_s / step_s)), min(steps - 1, int(to_s / step_s)) + 1):
        part = max(from_s, index * step_s), min(to_s, (index + 1) * step_s)
        if part[1] > part[0]:
            yield index, part
