"""What a late turn lost of the processor, also by the runner's samples of its process around that time."""

from __future__ import annotations

from dataclasses import replace

from ...record.event import Blocked, LoopSampled
from ...stacks.starvation import ProcessorLoss, Starvation, queued
from ..history import History


def loss(turn: Blocked, history: History) -> ProcessorLoss:
    """The largest loss that is proven, and why."""
    samples = [s for s in history.of(LoopSampled) if (s.pid, s.loop) == (turn.pid, turn.loop)]
    ended_ns = turn.at_ns + turn.held_ns
    found = [queued(turn)]
    for why, is_held in (
        (Starvation.STOPPED, [sample.stopped for sample in samples]),
        (Starvation.FROZEN, [sample.frozen for sample in samples]),
    ):
        seen = [(sample.at_ns, held) for sample, held in zip(samples, is_held, strict=True)]
        inside = [at_ns for at_ns, held in seen if held and turn.at_ns <= at_ns <= ended_ns]
        if not inside:
            continue
        running = [at_ns for at_ns, held in seen if not held]
        from_ns = max((at_ns for at_ns in running if at_ns < inside[0]), default=turn.at_ns)
        to_ns = min((at_ns for at_ns in running if at_ns > inside[-1]), default=ended_ns)
        found.append(_within(turn, why, max(from_ns, turn.at_ns), min(to_ns, ended_ns)))
    for why, so_far in (
        (Starvation.THROTTLED, [(sample.at_ns, sample.throttled_ns) for sample in samples]),
        (Starvation.STOLEN, [(sample.at_ns, sample.stolen_ns) for sample in samples]),
    ):
        if lost_ns := _grown(so_far, turn.at_ns, ended_ns):
            found.append(_within(turn, why, turn.at_ns, min(ended_ns, turn.at_ns + lost_ns)))
    most_ns = max(one.whole_ns for one in found)
    # In a throttled cgroup, kernels since 6.18 count a thread as queued: the more specific reason is given.
    why = next(one.why for one in (*found[1:], *found) if one.whole_ns * 4 >= most_ns)
    return replace(max(found, key=lambda one: one.whole_ns), why=why)


def _grown(so_far: list[tuple[int, int]], from_ns: int, to_ns: int) -> int:
    """By how much a figure has grown between the samples around this time.

    At the start and the end of the program there is none on one side: then it is taken to have grown as fast
    as between the two nearest samples.
    """
    before = [one for one in so_far if one[0] <= from_ns][-1:]
    after = [one for one in so_far if one[0] >= to_ns][:1]
    if before and after:
        return after[0][1] - before[0][1]
    nearest = so_far[:2] if after else so_far[-2:]
    if len(nearest) < 2 or nearest[0][0] == nearest[1][0]:
        return 0
    (first_ns, first), (last_ns, last) = nearest
    return (last - first) * (to_ns - from_ns) // (last_ns - first_ns)


def _within(turn: Blocked, why: Starvation, from_ns: int, to_ns: int) -> ProcessorLoss:
    """The loss of this time, in which the process did not run at all."""
    woke_ns = turn.woke_ns or turn.at_ns
    asleep_ns = max(0, min(to_ns, woke_ns) - from_ns)
    return ProcessorLoss(why, asleep_ns, max(0, to_ns - from_ns - asleep_ns))
