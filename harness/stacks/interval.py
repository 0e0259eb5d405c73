"""A late turn as stretches of time, cut from the outside in.

A turn is read as the stretches between its samples, and cut first into steps (one task or callback each),
then along the calls of the frames that may be blamed, as long as one call lasts longer than the limit by
itself. Two long calls in one step are two stretches. What is left of a step after its long calls is one too
when it reaches the limit, blamed on the function that made the calls. What is left of a turn after its long
steps is the stretch of many short callbacks. The time in which the loop should have been awake, and had no
code of its own to show for it, is a stretch apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from ..record.event import Blocked, Frame, Sample
from .turn_stack import Territory, candidates, folded, own_frames

# These say nothing of the cause: what computes is found at the lock of the GIL, which its watcher holds.
NOT_WAITING = ("", "running", "futex")
# How often the probe looks at a late loop, and from when on less often (`probe/loop/watchdog.py`).
LOOK_EVERY_NS, DENSE_NS = 5_000_000, 2_000_000_000
# Between two stretches of the same call, one sample in so many may have seen something else.
NOISE = 10
# What is blamed when nothing was seen of a turn, and when the loop did not get to run at all.
UNSEEN = Frame("", 0, "<not sampled>")
LATE = Frame("", 0, "<late wake-up>")


@dataclass(frozen=True, slots=True)
class StackObservation:
    """One sample with the stretch of time it stands for."""

    sample: Sample
    path: tuple[Frame, ...]  # what may be blamed, outermost first; never empty
    step: tuple[str, str, int]  # which task or callback was running
    from_ns: int
    to_ns: int

    @property
    def asleep(self) -> bool:
        """Whether the loop ran no code at all: it waited in its selector, or to be let out of it."""
        return not own_frames(self.sample.stack)

    @property
    def waited_ns(self) -> int:
        """How much of its time the kernel is known to have kept the thread waiting."""
        return 0 if self.sample.syscall in NOT_WAITING else self.to_ns - self.from_ns

    def call(self, depth: int) -> tuple[object, ...] | None:
        """The step at depth 0, below it the function that may be blamed; `None` when the stack ends above."""
        if depth == 0:
            return self.step
        if depth > len(self.path):
            return None
        return self.path[depth - 1].file, self.path[depth - 1].function


@dataclass(frozen=True, slots=True)
class Interval:
    """Looks that make one block together; *depth* is that of the innermost call they share, 0 for none."""

    depth: int
    looks: list[StackObservation]

    @property
    def asleep(self) -> bool:
        """Whether the loop ran no code: it was due, and something kept it from running."""
        return self.looks[0].asleep

    @property
    def samples(self) -> int:
        """How often it was looked at."""
        return sum(look.sample.count for look in self.looks)

    @property
    def held_ns(self) -> int:
        return _length(self.looks)

    @property
    def waited_ns(self) -> int:
        return sum(look.waited_ns for look in self.looks)

    @property
    def running(self) -> bool:
        """Whether for most of the time it was seen to run, or to be ready to: in no system call."""
        running = [look for look in self.looks if look.sample.syscall == "running"]
        return _length(running) * 2 > self.held_ns

    @property
    def blame(self) -> tuple[object, ...]:
        return self.looks[0].step, self.looks[0].call(self.depth)


def intervals(turn: Blocked, territory: Territory, limit_ns: int) -> list[Interval]:
    """The stretches of a turn that are blocks, oldest first; at least one."""
    looks = list(_looks(turn, territory))
    asleep = [look for look in looks if look.asleep]
    awake = [look for look in looks if not look.asleep]
    found = []
    if asleep and (_length(asleep) >= limit_ns or _length(asleep) * 2 >= turn.held_ns):
        found.append(Interval(0, asleep))
    if awake and (not found or _length(awake) >= limit_ns):
        found += _joined(sorted(_cut(awake, limit_ns), key=lambda s: s.looks[0].from_ns))
    return found


def _looks(turn: Blocked, territory: Territory) -> Iterator[StackObservation]:
    samples = [sample for sample in turn.samples if sample.stack]
    start = turn.at_ns
    if turn.woke_ns and not any(own_frames(s.stack) for s in samples if s.first_ns < turn.woke_ns):
        # Nobody needs to have looked: the loop itself found that it had slept too long.
        before = [sample for sample in samples if sample.first_ns < turn.woke_ns]
        asleep = replace(_no_sample(turn, LATE), stack=(), count=sum(sample.count for sample in before))
        yield StackObservation(asleep, (LATE,), ("", LATE.function, 0), start, turn.woke_ns)
        start = turn.woke_ns
        samples = samples[len(before) :]
        if not samples and turn.held_ns <= (start - turn.at_ns) * 1.1:
            return  # what it did afterwards is not worth a word
    samples = samples or [_no_sample(turn, UNSEEN)]
    for sample, following in zip(samples, [*samples[1:], None], strict=True):
        end = _boundary_ns(turn, sample, following) if following else turn.at_ns + turn.held_ns
        end = max(start, end)
        seen = replace(sample, stack=folded(sample.stack))
        if own_frames(seen.stack):
            yield StackObservation(seen, candidates(seen.stack, territory), _step(seen), start, end)
        else:
            yield StackObservation(seen, (LATE,), ("", LATE.function, 0), start, end)
        start = end


def _boundary_ns(turn: Blocked, sample: Sample, following: Sample) -> int:
    """Where the time of one sample ends and that of the next one begins.

    Half-way, unless the next look came late: then what it found had held the GIL since soon after this one.
    """
    midway_ns = (sample.last_ns + following.first_ns) // 2
    thinned_ns = (sample.last_ns - turn.at_ns - DENSE_NS) // 100
    return min(midway_ns, sample.last_ns + max(LOOK_EVERY_NS, thinned_ns))


def _no_sample(turn: Blocked, frame: Frame) -> Sample:
    """What stands for samples where there are none."""
    at_ns = turn.at_ns
    return Sample(at_ns, at_ns, 0, (frame,), task="", coroutine="", span="", trace_id="", span_id="")


def _step(sample: Sample) -> tuple[str, str, int]:
    if sample.task or sample.coroutine:
        return sample.task, sample.coroutine, 0  # a task has one step in a turn
    callback = (own_frames(sample.stack) or sample.stack)[0]
    return callback.file, callback.function, sample.step


def _cut(looks: list[StackObservation], limit_ns: int) -> Iterator[Interval]:
    """The looks of a turn as blocks, in no order."""
    # Not a recursive function: the stacks of recursive programs are as deep as this one could go.
    pending = [(0, looks)]
    while pending:
        depth, looks = pending.pop()
        long = [r for r in _runs(looks, depth) if _length(r) >= limit_ns and _of(r, depth) is not None]
        kept = {id(look) for run in long for look in run}
        rest = [look for look in looks if id(look) not in kept]
        if rest and (not long or _length(rest) >= limit_ns):
            yield Interval(max(depth - 1, 0), rest)
        pending += [(depth + 1, run) for run in long]


def _runs(looks: list[StackObservation], depth: int) -> list[list[StackObservation]]:
    """Consecutive looks at the same call, across the odd sample that saw something else."""
    runs: list[list[StackObservation]] = []
    for call, group in groupby(looks, key=lambda look: look.call(depth)):
        run = list(group)
        around = _length(runs[-2]) + _length(run) if len(runs) >= 2 and _of(runs[-2], depth) == call else 0
        if around and _length(runs[-1]) * NOISE <= around:
            noise = runs.pop()
            runs[-1] += noise + run
        else:
            runs.append(run)
    return runs


def _of(run: list[StackObservation], depth: int) -> tuple[object, ...] | None:
    return run[0].call(depth)


def _joined(intervals: list[Interval]) -> list[Interval]:
    """A recursive function is cut at every level of its calls; neighbours with one blame are one block."""
    joined: list[Interval] = []
    for stretch in intervals:
        if stretch.depth and joined and joined[-1].blame == stretch.blame:
            depth = min(joined[-1].depth, stretch.depth)
            joined[-1] = Interval(depth, joined[-1].looks + stretch.looks)
        else:
            joined.append(stretch)
    return joined


def _length(looks: list[StackObservation]) -> int:
    return sum(look.to_ns - look.from_ns for look in looks)


def blamed(stretch: Interval) -> tuple[Frame, Sample]:
    """The function seen most at the stretch's depth, on its line seen most, and a look at that."""
    functions: Counter[tuple[str, str]] = Counter()
    lines: Counter[Frame] = Counter()
    for look in stretch.looks:
        frame = _frame(look, stretch.depth)
        functions[frame.file, frame.function] += look.sample.count
        lines[frame] += look.sample.count
    function = max(functions, key=lambda key: functions[key])
    blamed = max(
        (line for line in lines if (line.file, line.function) == function), key=lambda key: lines[key]
    )
    seen = (look.sample for look in stretch.looks if _frame(look, stretch.depth) == blamed)
    return blamed, max(seen, key=lambda sample: sample.count)


def _frame(look: StackObservation, depth: int) -> Frame:
    return look.path[min(depth, len(look.path)) - 1]  # depth 0: the innermost
