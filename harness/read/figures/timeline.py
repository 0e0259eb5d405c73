"""The run in equal time steps: requests sent and answered, their latency, and how busy the loops were.

Latency counts in the step in which the request was due, an answer in the step in which it arrived: so a block
shows as slow requests while it lasts, and as answers after it. A request without an answer counts as failed
in the step in which it was due.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

from ...record.event import LoopSampled
from ..blocks.block import Block
from ..history import History
from ..percentile import percentiles
from ..units import in_ms, ms, seconds

# A quarter of a second shows a single block; a long run has as many steps as fit on a screen.
STEP_S = 0.25
STEPS = 240


@dataclass(frozen=True, slots=True)
class Timeline:
    """One value per step of *step_s*; null in a step without any."""

    step_s: float
    sent: tuple[int, ...]
    completed: tuple[int, ...]
    failed: tuple[int, ...]
    p50_ms: tuple[float | None, ...]
    p99_ms: tuple[float | None, ...]
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
    tails = [in_ms(percentiles(latency[index], (0.5, 0.99, 1))) for index in range(steps)]
    busy, held = _loops(history, steps, step_s)
    for block in blocks:
        first, last = int(block.at_s / step_s), int((block.at_s + block.held_ms / 1000) / step_s)
        for index in range(max(0, first), min(steps - 1, last) + 1):
            held[index] = max(held[index] or 0.0, block.held_ms)
    return Timeline(
        step_s=step_s,
        sent=tuple(sent),
        completed=tuple(completed),
        failed=tuple(failed),
        p50_ms=tuple(p50 for p50, _, _ in tails),
        p99_ms=tuple(p99 for _, p99, _ in tails),
        max_ms=tuple(longest for _, _, longest in tails),
        busy_ratio=tuple(busy),
        longest_ms=tuple(held),
    )


def _loops(history: History, steps: int, step_s: float) -> tuple[list[float | None], list[float | None]]:
    """The busy share of the busiest loop and the longest turn, per step, from the loops' counters."""
    by_loop: dict[tuple[int, int], list[LoopSampled]] = defaultdict(list)
    for sample in history.of(LoopSampled):
        by_loop[sample.pid, sample.loop].append(sample)
    busiest: list[float | None] = [None] * steps
    longest: list[float | None] = [None] * steps
    for samples in by_loop.values():
        busy_s, sampled_s = [0.0] * steps, [0.0] * steps
        for before, after in pairwise(samples):
            start_s = seconds(history.since_start_ns(before.at_ns))
            end_s = seconds(history.since_start_ns(after.at_ns))
            share = (after.busy_ns - before.busy_ns) / max(after.at_ns - before.at_ns, 1)
            for index in range(max(0, int(start_s / step_s)), min(steps - 1, int(end_s / step_s)) + 1):
                overlap_s = min(end_s, (index + 1) * step_s) - max(start_s, index * step_s)
                busy_s[index] += share * overlap_s
                sampled_s[index] += overlap_s
            index = min(steps - 1, max(0, int(end_s / step_s)))
            if after.longest_ns > before.longest_ns:
                longest[index] = max(longest[index] or 0.0, ms(after.longest_ns))
        for index, whole_s in enumerate(sampled_s):
            if whole_s > 0:
                # A turn is counted when it ends, so the sample after a long turn may count more than its own
                # time.
                share = min(1.0, max(0.0, busy_s[index] / whole_s))
                busiest[index] = round(max(busiest[index] or 0.0, share), 4)
    return busiest, longest
