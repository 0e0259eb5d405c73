"""A late turn cut into intervals, from the outside in.

The time between the samples of a turn is cut first into steps (one task or callback each), then along the
calls of the frames that may be blamed, for as long as a single call exceeds the limit. Two long calls in one
step are two intervals. The rest of that step is another one if it reaches the limit, blamed on the function
that made the calls. The rest of a turn after its long steps is the interval of many short callbacks. The time
in which the loop was due but ran no code is a separate interval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from ..record.observation import CADENCE, Blocked, Cadence, Frame, Sample
from ..record.value import replace
from .ownership import CodeOwnership
from .turn_stack import TurnStack

# Uninformative: even a computing thread is sampled waiting for the GIL, which the watchdog holds.
NOT_WAITING = ("", "running", "futex")
# Two runs of samples of one call are joined across a gap of at most this fraction of their time: 1/10.
NOISE = 10
# A sample that comes later than this number of gaps came after code that held the GIL.
LATE_GAPS = 4
# What is blamed if a turn has no samples, and if the loop did not run at all.
UNSEEN = Frame("", 0, "<not sampled>")
LATE = Frame("", 0, "<late wake-up>")
# What the console does on the loop, because somebody asked.
HARNESS = Frame("", 0, "<harness>")


@dataclass(frozen=True, slots=True)
class StackObservation:
    """One sample with the time it stands for."""

    sample: Sample
    stack: TurnStack  # the sample's
    path: tuple[Frame, ...]  # what may be blamed, outermost first; never empty
    step: tuple[str, str, int]  # which task or callback was running
    from_ns: int
    to_ns: int

    @property
    def asleep(self) -> bool:
        """Whether the loop ran no code: it waited in its selector, or to return from it."""
        return not self.stack.frames and not self.stack.is_harness

    @property
    def waited_ns(self) -> int:
        """How much of this time the thread is known to have waited in the kernel."""
        return 0 if self.sample.syscall in NOT_WAITING else self.to_ns - self.from_ns

    def call(self, depth: int) -> tuple[object, ...] | None:
        """The step at depth 0, below it a function that may be blamed; `None` past the end of the stack."""
        if depth == 0:
            return self.step
        if depth > len(self.path):
            return None
        return self.path[depth - 1].file, self.path[depth - 1].function


@dataclass(frozen=True, slots=True)
class Interval:
    """Observations that form one block; *depth* is that of their innermost common call, 0 for none."""

    depth: int
    looks: list[StackObservation]

    @property
    def asleep(self) -> bool:
        """Whether the loop was due but ran no code."""
        return self.looks[0].asleep

    @property
    def samples(self) -> int:
        """The number of samples taken in it."""
        return sum(look.sample.count for look in self.looks)

    @property
    def held_ns(self) -> int:
        return _length(self.looks)

    @property
    def waited_ns(self) -> int:
        return sum(look.waited_ns for look in self.looks)

    @property
    def running(self) -> bool:
        """Whether the thread was running or ready to run, in no system call, for most of the time."""
        running = [look for look in self.looks if look.sample.syscall == "running"]
        return _length(running) * 2 > self.held_ns

    @property
    def blame(self) -> tuple[object, ...]:
        return self.looks[0].step, self.looks[0].call(self.depth)


def intervals(
    turn: Blocked, ownership: CodeOwnership, limit_ns: int, cadence: Cadence = CADENCE
) -> list[Interval]:
    """The intervals of a turn that are blocks, oldest first; at least one.

    *cadence* is that of the probe that took the samples.
    """
    looks = list(observations(turn, ownership, limit_ns, cadence))
    asleep = [look for look in looks if look.asleep]
    awake = [look for look in looks if not look.asleep]
    found = []
    if asleep and (_length(asleep) >= limit_ns or _length(asleep) * 2 >= turn.held_ns):
        found.append(Interval(0, asleep))
    if awake and (not found or _length(awake) >= limit_ns):
        found += _joined(sorted(_cut(awake, limit_ns), key=lambda s: s.looks[0].from_ns))
    return found


def observations(
    turn: Blocked, ownership: CodeOwnership, limit_ns: int, cadence: Cadence = CADENCE
) -> Iterator[StackObservation]:
    """The samples of a turn with the time that each stands for; together they are the whole turn."""
    seen = [(sample, TurnStack(sample.stack, ownership)) for sample in turn.samples if sample.stack]
    start = turn.at_ns
    if turn.woke_ns and not any(stack.frames for s, stack in seen if s.first_ns < turn.woke_ns):
        # This needs no sample: the loop itself recorded that it woke up late.
        before = [sample for sample, _ in seen if sample.first_ns < turn.woke_ns]
        count = sum(sample.count for sample in before)
        yield _asleep(_no_sample(turn, (), count), TurnStack((), ownership), start, turn.woke_ns)
        start = turn.woke_ns
        seen = seen[len(before) :]
        if not seen and turn.held_ns <= (start - turn.at_ns) * 1.1:
            return  # what it did afterwards is too short to matter
    seen = seen or [(_no_sample(turn, (UNSEEN,), 0), TurnStack((UNSEEN,), ownership))]
    following: list[tuple[Sample, TurnStack] | None] = [*seen[1:], None]
    due_ns = start + limit_ns // 2
    for (sample, stack), after in zip(seen, following, strict=True):
        end = _boundary_ns(turn, sample, after[0], cadence) if after else turn.at_ns + turn.held_ns
        end = max(start, end)
        sample = replace(sample, stack=stack.whole)
        if stack.frames and sample.entering and sample.first_ns - due_ns > LATE_GAPS * cadence.every_ns:
            # The function has just been called: what held the GIL ran before it.
            yield _before(sample, stack, ownership, start, arrived_ns := min(sample.first_ns, end))
            start = arrived_ns
        if stack.frames:
            yield StackObservation(sample, stack, stack.candidates, _step(sample, stack), start, end)
        elif stack.is_harness:
            yield StackObservation(sample, stack, (HARNESS,), ("", HARNESS.function, 0), start, end)
        else:
            yield _asleep(sample, stack, start, end)
        start = end
        due_ns = sample.last_ns + cadence.gap_ns(sample.last_ns - turn.at_ns)


def _before(
    sample: Sample, stack: TurnStack, ownership: CodeOwnership, from_ns: int, to_ns: int
) -> StackObservation:
    """The time before a late sample that stands at the beginning of a function.

    It was spent in the function's caller; in an unknown callback, if the loop itself is the caller.
    """
    caller = stack.without_innermost()
    if not caller.frames:
        caller = TurnStack((UNSEEN,), ownership)
        sample = replace(sample, count=0, task="", coroutine="", span="", trace_id="", span_id="", created=())
        step = ("", UNSEEN.function, 0)
    else:
        sample, step = replace(sample, count=1), _step(sample, caller)
    # Code that holds the GIL does not wait in a call; what the sample was found in is not known of it.
    sample = replace(sample, stack=caller.whole, syscall="running")
    return StackObservation(sample, caller, caller.candidates, step, from_ns, to_ns)


def _asleep(sample: Sample, stack: TurnStack, from_ns: int, to_ns: int) -> StackObservation:
    return StackObservation(sample, stack, (LATE,), ("", LATE.function, 0), from_ns, to_ns)


def _boundary_ns(turn: Blocked, sample: Sample, following: Sample, cadence: Cadence) -> int:
    """When the time of one sample ends and that of the next one begins.

    Half-way, unless the next sample came late: then the code in it had held the GIL since soon after this
    one.
    """
    midway_ns = (sample.last_ns + following.first_ns) // 2
    return min(midway_ns, sample.last_ns + cadence.gap_ns(sample.last_ns - turn.at_ns))


def _no_sample(turn: Blocked, stack: tuple[Frame, ...], count: int) -> Sample:
    at_ns = turn.at_ns
    return Sample(at_ns, at_ns, count, stack, task="", coroutine="", span="", trace_id="", span_id="")


def _step(sample: Sample, stack: TurnStack) -> tuple[str, str, int]:
    if sample.task or sample.coroutine:
        return sample.task, sample.coroutine, 0  # a task has one step in a turn
    callback = stack.frames[0]
    return callback.file, callback.function, sample.step


def _cut(looks: list[StackObservation], limit_ns: int) -> Iterator[Interval]:
    """The observations of a turn as blocks, in no order."""
    # Not recursive: a recursive program's stack may be as deep as Python's recursion limit.
    pending = [(0, looks)]
    while pending:
        depth, looks = pending.pop()
        long = [r for r in _runs(looks, depth) if _length(r) >= limit_ns and r[0].call(depth) is not None]
        kept = {id(look) for run in long for look in run}
        rest = [look for look in looks if id(look) not in kept]
        if rest and (not long or _length(rest) >= limit_ns):
            yield Interval(max(depth - 1, 0), rest)
        pending += [(depth + 1, run) for run in long]


def _runs(looks: list[StackObservation], depth: int) -> list[list[StackObservation]]:
    """Consecutive observations of the same call, ignoring a stray sample of another call between them."""
    runs: list[list[StackObservation]] = []
    for call, group in groupby(looks, key=lambda look: look.call(depth)):
        run = list(group)
        is_resumed = len(runs) >= 2 and runs[-2][0].call(depth) == call
        around = _length(runs[-2]) + _length(run) if is_resumed else 0
        if around and _length(runs[-1]) * NOISE <= around:
            noise = runs.pop()
            runs[-1] += noise + run
        else:
            runs.append(run)
    return runs


def _joined(intervals: list[Interval]) -> list[Interval]:
    """Merge neighbours with the same blame: a recursive function is cut at every level of its calls."""
    joined: list[Interval] = []
    for interval in intervals:
        if interval.depth and joined and joined[-1].blame == interval.blame:
            depth = min(joined[-1].depth, interval.depth)
            joined[-1] = Interval(depth, joined[-1].looks + interval.looks)
        else:
            joined.append(interval)
    return joined


def _length(looks: list[StackObservation]) -> int:
    return sum(look.to_ns - look.from_ns for look in looks)


def blamed(interval: Interval) -> tuple[Frame, StackObservation]:
    """The most sampled function at the interval's depth, on its most sampled line, with an observation."""
    functions: Counter[tuple[str, str]] = Counter()
    lines: Counter[Frame] = Counter()
    for look in interval.looks:
        frame = _frame(look, interval.depth)
        functions[frame.file, frame.function] += look.sample.count
        lines[frame] += look.sample.count
    function = max(functions, key=lambda key: functions[key])
    blamed = max((f for f in lines if (f.file, f.function) == function), key=lambda line: lines[line])
    seen = (look for look in interval.looks if _frame(look, interval.depth) == blamed)
    return blamed, max(seen, key=lambda look: look.sample.count)


def _frame(look: StackObservation, depth: int) -> Frame:
    return look.path[min(depth, len(look.path)) - 1]  # depth 0: the innermost
