"""The samples of two runs side by side: which calls became heavier, which lighter, beyond the noise.

Runs of different length are compared by time per successful request; programs that ended by themselves by the
time of the whole run, because that is how long their work took; any others by time per second that the loops
ran. Calls are identified by function and file, not by line: code moves between versions. Noise
is twice the standard error of the difference, estimated from the samples (`samples/sampling_error.py`); it
does not include how much two runs of the same program differ for other reasons.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from ...record.event import Frame
from ...stacks.turn_stack import TurnStack
from ..figures import loop
from ..figures.target import ended_by_itself
from ..history import History
from ..samples.flame_graph import LETTERS, Called, CallTree, Interned, ThreadSamples, thread_of
from ..samples.sample import SamplingWay, StackSample, stack_samples
from ..samples.sampling_error import SampleVariance

# Fewer than in the flame graph of one run, because a row has more values.
CALLS, ROWS = 1_000, 5_000
SHIFTS = 20


class PerUnit(StrEnum):
    """What the time in a call is divided by."""

    REQUEST = "request"
    RUN = "run"
    SECOND = "second"


class Weight(StrEnum):
    """Whether a function takes more time than before, beyond the noise."""

    HEAVIER = "heavier"
    LIGHTER = "lighter"
    NOISE = "noise"


class SampleGroup(NamedTuple):
    """The attributes that the page filters by; each sample is in one group."""

    thread: ThreadSamples
    coroutine: str
    span: str


class TimeChange(NamedTuple):
    """Time in one call; the first four are indices into the lists, and call 0 is the loop itself.

    *base_ms* and *head_ms* are self time per unit. *variance* is that of the difference in total time,
    because variances cannot be added up.
    """

    thread: int
    coroutine: int
    span: int
    call: int
    base_ms: float
    head_ms: float
    variance: float


@dataclass(frozen=True, slots=True)
class FunctionChange:
    """Time on the loop, per unit, in one function of the program with the libraries below it."""

    function: str
    where: str
    base_ms: float
    head_ms: float
    band_ms: float  # the largest difference that noise explains
    verdict: Weight


@dataclass(frozen=True, slots=True)
class ProfileDiff:
    """The base is the other run, the head the one that is reported. The lists are those of a `FlameGraph`."""

    per: PerUnit
    base_units: float
    head_units: float
    only_late: bool  # only late turns were sampled
    threads: tuple[ThreadSamples, ...]
    coroutines: tuple[str, ...]
    spans: tuple[str, ...]
    lines: tuple[Called, ...] = field(repr=False)  # their *where* is a file
    callers: tuple[int, ...] = field(repr=False)
    called: tuple[int, ...] = field(repr=False)
    rows: tuple[TimeChange, ...] = field(repr=False)
    shifts: tuple[FunctionChange, ...]  # largest change first
    left_out_ms: float  # per unit and of both runs together, in calls beyond the bounds


def profile_diff(base: History, head: History) -> ProfileDiff | str:
    """What changed from *base* to *head*, or the reason why the samples cannot be compared."""
    before, after = stack_samples(base), stack_samples(head)
    for samples, which in ((before, "the other run"), (after, "this run")):
        if not samples:
            return f"there are no samples of {which}"
    late = {samples[0].way == SamplingWay.LATE for samples in (before, after)}
    if len(late) > 1:
        return "only one of the runs was sampled; the other has samples of late turns only"
    per, units = _units(base, head)
    if not all(units):
        return "no loop ran in one of the runs"
    sides = _Side(base, before, units[0]), _Side(head, after, units[1])
    return _diff(*sides, per, only_late=late == {True})


def _units(base: History, head: History) -> tuple[PerUnit, list[float]]:
    both = (base, head)
    if all(answered := [float(sum(request.ok for request in history.requests)) for history in both]):
        return PerUnit.REQUEST, answered
    if all(map(ended_by_itself, both)):
        return PerUnit.RUN, [1.0, 1.0]
    return PerUnit.SECOND, [loop.ran_s(history) for history in both]


class _Side:
    """The samples of one run, and the units that their time is divided by."""

    def __init__(self, history: History, samples: tuple[StackSample, ...], units: float) -> None:
        self.samples, self.units = samples, units
        self._ownership = history.ownership()
        self._known: dict[tuple[str, str], Called] = {}
        # By identity: `stack_samples` interns equal stacks, and hashing one takes longer than the rest.
        self._stacks: dict[int, tuple[tuple[Called, ...], tuple[Called, ...]]] = {}
        self._groups: dict[tuple[str, str, str, str], SampleGroup] = {}

    def stack(self, sample: StackSample) -> tuple[Called, ...]:
        """The calls of a sample, each as a function in a file."""
        return self._calls(sample)[0]

    def blamed(self, sample: StackSample) -> tuple[Called, ...]:
        """The call of a sample on a loop that its time is attributed to; none for the loop itself."""
        return self._calls(sample)[1] if sample.way != SamplingWay.EXECUTOR else ()

    def group(self, sample: StackSample) -> SampleGroup:
        key = sample.thread, sample.way, sample.coroutine, sample.span
        if key not in self._groups:
            names = sample.coroutine[:LETTERS], sample.span[:LETTERS]
            self._groups[key] = SampleGroup(thread_of(sample), *names)
        return self._groups[key]

    def per_unit_ms(self, time_ns: float) -> float:
        return time_ns / 1e6 / self.units

    def variance(self, variance_ns2: float) -> float:
        """A variance per unit, in ms²."""
        return variance_ns2 / 1e12 / self.units**2

    def _calls(self, sample: StackSample) -> tuple[tuple[Called, ...], tuple[Called, ...]]:
        key = id(sample.stack)
        if key not in self._stacks:
            blamed = TurnStack(sample.stack, self._ownership).candidates[-1:]
            self._stacks[key] = tuple(map(self._called, sample.stack)), tuple(map(self._called, blamed))
        return self._stacks[key]

    def _called(self, frame: Frame) -> Called:
        key = frame.function, frame.file
        if key not in self._known:
            where = self._ownership.short(frame.file)[-LETTERS:]
            self._known[key] = Called(frame.function[:LETTERS], where, self._ownership.is_application(frame))
        return self._known[key]


def _diff(base: _Side, head: _Side, per: PerUnit, *, only_late: bool) -> ProfileDiff:
    groups, stacks = Interned[SampleGroup](), Interned[tuple[Called, ...]]()
    numbered = [
        [(groups.of(side.group(sample)), stacks.of(side.stack(sample))) for sample in side.samples]
        for side in (base, head)
    ]
    took: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for index, side in enumerate((base, head)):
        for sample, pair in zip(side.samples, numbered[index], strict=True):
            took[pair][index] += side.per_unit_ms(sample.weight_ns)
    by_number = tuple(stacks)
    tree, left_out_ms = CallTree(CALLS), 0.0
    # Self time by group and call. Each pair of a group and a stack counts in all calls of the stack.
    itself: dict[tuple[int, int], list[float]] = {}
    inside: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}
    for pair, times in sorted(took.items(), key=lambda item: -sum(item[1])):
        group, stack = pair[0], by_number[pair[1]]
        call = tree.call(stack) if len(itself) + len(stack) < ROWS else None
        if call is None:
            left_out_ms += sum(times)
            continue
        inside[pair] = tuple((group, at) for at in _callers(tree, call))
        for place in inside[pair]:
            itself.setdefault(place, [0.0, 0.0])
        for index, time in enumerate(times):
            itself[group, call][index] += time
    variance: dict[tuple[int, int], float] = defaultdict(float)
    for side, pairs in zip((base, head), numbered, strict=True):
        places = [inside.get(pair, ()) for pair in pairs]
        for place, of in SampleVariance(side.samples, places).variance.items():
            variance[place] += side.variance(of)
    threads, coroutines, spans = Interned[ThreadSamples](), Interned[str](), Interned[str]()
    wheres = [
        (threads.of(group.thread), coroutines.of(group.coroutine), spans.of(group.span)) for group in groups
    ]
    return ProfileDiff(
        per=per,
        base_units=round(base.units, 3),
        head_units=round(head.units, 3),
        only_late=only_late,
        threads=tuple(threads),
        coroutines=tuple(coroutines),
        spans=tuple(spans),
        lines=tuple(tree.lines),
        callers=tuple(tree.callers),
        called=tuple(line for _, line in tree.calls),
        rows=tuple(
            TimeChange(*wheres[group], call, _digits(before), _digits(after), _digits(variance[group, call]))
            for (group, call), (before, after) in itself.items()
        ),
        shifts=tuple(_shifts(base, head)),
        left_out_ms=_digits(left_out_ms),
    )


def _callers(tree: CallTree, call: int) -> Iterator[int]:
    """A call, its caller, and so on to the loop itself, which is 0."""
    calls = tree.callers
    while call:
        yield call
        call = calls[call - 1]
    yield 0


def _shifts(base: _Side, head: _Side) -> list[FunctionChange]:
    took: dict[Called, list[float]] = defaultdict(lambda: [0.0, 0.0])
    variance: dict[Called, float] = defaultdict(float)
    for index, side in enumerate((base, head)):
        places = list(map(side.blamed, side.samples))
        for sample, blamed in zip(side.samples, places, strict=True):
            for called in blamed:
                took[called][index] += side.per_unit_ms(sample.weight_ns)
        for called, of in SampleVariance(side.samples, places).variance.items():
            variance[called] += side.variance(of)
    shifts = [
        _shift(called, before_ms, after_ms, 2 * math.sqrt(variance[called]))
        for called, (before_ms, after_ms) in took.items()
    ]
    return sorted(shifts, key=lambda shift: -abs(shift.head_ms - shift.base_ms))[:SHIFTS]


def _shift(called: Called, before_ms: float, after_ms: float, band_ms: float) -> FunctionChange:
    verdict = Weight.HEAVIER if after_ms > before_ms else Weight.LIGHTER
    if abs(after_ms - before_ms) <= band_ms:
        verdict = Weight.NOISE
    figures = _digits(before_ms), _digits(after_ms), _digits(band_ms)
    return FunctionChange(called.function, called.where, *figures, verdict)


def _digits(value: float) -> float:
    """*value* with four digits: more would be noise, and the page has a bound."""
    return float(f"{value:.4g}")
