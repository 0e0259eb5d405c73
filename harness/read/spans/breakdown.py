"""A span's time as its task has spent it: stretch by stretch, from its beginning to its end.

The stretches follow from the steps of the task. Between two steps lies a wait: for whatever made the second
one ready, up to then; and from then on for the loop, which somebody held. Between a timer, say, and the task
that sleeps there is a callback of asyncio's: what that waited for is what the task waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ...record.event import Frame
from ...record.observation import FILE, THREAD, TIMER, WORK
from .segment import Part
from .step_log import NOBODY, Step, StepLog, is_work

# A loop wakes up in whole milliseconds: a timer is at most so late without anybody's doing.
TIMER_LATE_NS = 1_500_000
# What the loop takes between two callbacks goes with the second one.
BETWEEN_NS = 100_000
# Longer chains of callbacks between an event and the task that it resumes are cut.
CHAIN = 50
# Who held the loop when none of its callbacks ran: it was not there to run them.
LATE = Frame("", 0, "<late wake-up>")
SHORT = Frame("", 0, "<many short callbacks>")


class Slice(NamedTuple):
    """Some time, and what it went into. Times are of the record's clock."""

    from_ns: int
    to_ns: int
    what: Part
    who: Frame = NOBODY
    task: int = 0  # the number of the task that is *who*
    step: int = 0  # of a run, or of who held the loop: the number of the step
    at_most: bool = False

    @property
    def length_ns(self) -> int:
        return self.to_ns - self.from_ns


@dataclass(frozen=True, slots=True)
class WakeReason:
    """Why a step was taken: what had happened, when, and which callbacks brought it to the step."""

    waker: int  # as in `StepsTaken`; a step is a task's
    at_ns: int
    through: tuple[Step, ...]  # the step itself first


def cause_of(journey: StepLog, step: Step) -> WakeReason:
    """What has made a step ready."""
    through = [step]
    while len(through) < CHAIN:
        maker = journey.by_number.get(through[-1].waker)
        if maker is None or maker.runner > 0:
            break
        through.append(maker)
    return WakeReason(through[-1].waker, through[-1].ready_ns, tuple(through))


def of_span(journey: StepLog, runner: int, from_ns: int, to_ns: int) -> list[Slice]:
    """The stretches of a span that began in that task, or in that work of an executor."""
    if is_work(runner):
        work = journey.works.get(WORK - runner)
        who = journey.places.get(work.place, NOBODY) if work is not None else NOBODY
        return [Slice(from_ns, to_ns, Part.EXECUTOR, who)]
    return list(_clipped(_of_task(journey, runner, from_ns, to_ns), from_ns, to_ns))


def _of_task(journey: StepLog, task: int, from_ns: int, to_ns: int) -> Iterator[Slice]:
    here = journey.frame_of(task)
    step = journey.last_of(task, from_ns) or journey.first_of(task, from_ns)
    if step is None:
        yield Slice(from_ns, to_ns, Part.TASK)
        return
    at_ns = min(from_ns, step.began_ns)
    if step.began_ns > from_ns:
        # It began eagerly, inside of the step that made it.
        inside = next(journey.between(from_ns, from_ns + 1), None)
        if inside is not None:
            at_ns = min(inside.ended_ns, to_ns)
            yield Slice(from_ns, at_ns, Part.RUN, here, task, inside.number)
    while step is not None and at_ns < to_ns:
        yield from wait(journey, step, at_ns)
        yield Slice(max(step.began_ns, at_ns), step.ended_ns, Part.RUN, here, task, step.number)
        at_ns = step.ended_ns
        step = journey.after(step)
    if at_ns < to_ns:
        yield Slice(at_ns, to_ns, Part.TASK)  # its task is over, and somebody else has ended the span


def wait(journey: StepLog, step: Step, since_ns: int) -> Iterator[Slice]:
    """The time from *since_ns*, when the task had run before, until a step of it."""
    cause = cause_of(journey, step)
    happened_ns = max(since_ns, cause.at_ns) if cause.at_ns else step.began_ns
    yield from for_cause(journey, cause, since_ns, happened_ns)
    yield from for_loop(journey, cause, happened_ns)


def for_cause(journey: StepLog, cause: WakeReason, since_ns: int, until_ns: int) -> Iterator[Slice]:
    """The part of a wait before what was waited for had happened."""
    waker = cause.waker
    if since_ns >= until_ns:
        return
    if waker == TIMER:
        yield Slice(since_ns, until_ns, Part.TIMER)
    elif waker == FILE:
        held_ns = max(since_ns, _held_before_ns(journey, until_ns))
        yield Slice(since_ns, held_ns, Part.IO)
        for held in _held(journey, held_ns, until_ns):
            yield held._replace(at_most=True)
    elif waker <= WORK and (work := journey.works.get(WORK - waker)) is not None:
        who = journey.places.get(work.place, NOBODY)
        begun_ns = min(max(since_ns, work.began_ns), until_ns)
        submitted_ns = min(max(since_ns, work.submitted_ns), begun_ns)
        yield Slice(since_ns, submitted_ns, Part.TASK)
        yield Slice(submitted_ns, begun_ns, Part.QUEUED, who)
        yield Slice(begun_ns, until_ns, Part.EXECUTOR, who)
    elif waker == THREAD or waker <= WORK:
        yield Slice(since_ns, until_ns, Part.EXECUTOR)
    else:
        other = journey.by_number.get(waker)
        task = other.runner if other is not None else 0
        yield Slice(since_ns, until_ns, Part.TASK, journey.frame_of(task) if task else NOBODY, task)


def for_loop(journey: StepLog, cause: WakeReason, since_ns: int) -> Iterator[Slice]:
    """The part of a wait after that: until the loop came to the callbacks in between, and to the step."""
    began_ns = cause.through[0].began_ns
    if cause.waker == TIMER:
        first = next(journey.between(since_ns, began_ns), None)
        woke_ns = min(first.began_ns if first is not None else began_ns, began_ns)
        if 0 < woke_ns - since_ns <= TIMER_LATE_NS:
            yield Slice(since_ns, woke_ns, Part.TIMER)
            since_ns = woke_ns
    yield from _held(journey, since_ns, began_ns)


def _held(journey: StepLog, from_ns: int, to_ns: int) -> Iterator[Slice]:
    """Who held the loop, one after the other."""
    at_ns = from_ns
    for step in journey.between(from_ns, to_ns):
        began_ns, ended_ns = max(step.began_ns, at_ns), min(step.ended_ns, to_ns)
        if ended_ns <= began_ns:
            continue
        if began_ns - at_ns > BETWEEN_NS:
            yield Slice(at_ns, began_ns, Part.READY, LATE)
            at_ns = began_ns
        who = journey.frame_of(step.runner) if step.number else SHORT
        if to_ns - ended_ns <= BETWEEN_NS:
            ended_ns = to_ns
        yield Slice(at_ns, ended_ns, Part.READY, who, max(step.runner, 0), step.number)
        at_ns = ended_ns
    yield Slice(at_ns, to_ns, Part.READY, LATE)


def _held_before_ns(journey: StepLog, at_ns: int) -> int:
    """Since when the turn lasted that ended then: a file that is found ready may have been so since."""
    step = journey.just_before(at_ns)
    since_ns = at_ns
    while step is not None:
        since_ns = step.began_ns
        before = journey.just_before(since_ns)
        # What became ready during the one before had to wait for the next turn.
        step = before if before is not None and 0 < step.ready_ns < before.began_ns else None
    return since_ns


def _clipped(stretches: Iterator[Slice], from_ns: int, to_ns: int) -> Iterator[Slice]:
    for stretch in stretches:
        began_ns, ended_ns = max(stretch.from_ns, from_ns), min(stretch.to_ns, to_ns)
        if ended_ns > began_ns:
            yield stretch._replace(from_ns=began_ns, to_ns=ended_ns)
