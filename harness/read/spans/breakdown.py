"""How a span's task spent its time, as slices from the span's start to its end.

The slices follow from the steps of the task. Between two steps lies a wait: first for the event that made the
second step ready, then for the loop, which other steps held. If callbacks of asyncio lie between the event
and the step, as between a timer and a sleeping task, the task waited for what they waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ...record.event import Frame
from ...record.observation import FILE, THREAD, TIMER, WORK
from .segment import Part
from .step_log import NO_FRAME, LoggedStep, StepLog, is_work

# A loop wakes up in whole milliseconds, so a timer can be this late although nothing held the loop.
TIMER_LATE_NS = 1_500_000
# Gaps up to this length between two callbacks count as part of the second one.
BETWEEN_NS = 100_000
# Maximum number of callbacks between an event and the task that it resumes.
CHAIN = 50
# The holder while none of the loop's callbacks ran, because its thread did not run.
LATE = Frame("", 0, "<late wake-up>")
SHORT = Frame("", 0, "<many short callbacks>")


class Slice(NamedTuple):
    """An interval and what it was spent on. Times are of the record's clock."""

    from_ns: int
    to_ns: int
    what: Part
    who: Frame = NO_FRAME
    task: int = 0  # the number of the task *who*
    step: int = 0  # the number of the step that ran or held the loop
    at_most: bool = False

    @property
    def length_ns(self) -> int:
        return self.to_ns - self.from_ns


@dataclass(frozen=True, slots=True)
class WakeReason:
    """Why a step ran: the event, its time, and the callbacks that led to the step."""

    waker: int  # as in `StepsTaken`, with steps of tasks only
    at_ns: int
    through: tuple[LoggedStep, ...]  # the step itself first


def cause_of(log: StepLog, step: LoggedStep) -> WakeReason:
    """The event that made a step ready."""
    through = [step]
    while len(through) < CHAIN:
        maker = log.by_number.get(through[-1].waker)
        if maker is None or maker.runner > 0:
            break
        through.append(maker)
    return WakeReason(through[-1].waker, through[-1].ready_ns, tuple(through))


def of_span(log: StepLog, runner: int, from_ns: int, to_ns: int) -> list[Slice]:
    """The slices of a span that began in *runner*, a task or the work of an executor."""
    if is_work(runner):
        work = log.works.get(WORK - runner)
        who = log.places.get(work.place, NO_FRAME) if work is not None else NO_FRAME
        return [Slice(from_ns, to_ns, Part.EXECUTOR, who)]
    return list(_clipped(_of_task(log, runner, from_ns, to_ns), from_ns, to_ns))


def _of_task(log: StepLog, task: int, from_ns: int, to_ns: int) -> Iterator[Slice]:
    here = log.frame_of(task)
    step = log.last_of(task, from_ns) or log.first_of(task, from_ns)
    if step is None:
        yield Slice(from_ns, to_ns, Part.TASK)
        return
    at_ns = min(from_ns, step.began_ns)
    if step.began_ns > from_ns:
        # It began eagerly, inside the step that created it.
        inside = next(log.between(from_ns, from_ns + 1), None)
        if inside is not None:
            at_ns = min(inside.ended_ns, to_ns)
            yield Slice(from_ns, at_ns, Part.RUN, here, task, inside.number)
    while step is not None and at_ns < to_ns:
        yield from wait(log, step, at_ns)
        yield Slice(max(step.began_ns, at_ns), step.ended_ns, Part.RUN, here, task, step.number)
        at_ns = step.ended_ns
        step = log.after(step)
    if at_ns < to_ns:
        yield Slice(at_ns, to_ns, Part.TASK)  # its task is over, and another one ended the span


def wait(log: StepLog, step: LoggedStep, since_ns: int) -> Iterator[Slice]:
    """The wait of a task from *since_ns*, the end of its previous step, to *step*."""
    cause = cause_of(log, step)
    happened_ns = max(since_ns, cause.at_ns) if cause.at_ns else step.began_ns
    yield from for_cause(log, cause, since_ns, happened_ns)
    yield from for_loop(log, cause, happened_ns)


def for_cause(log: StepLog, cause: WakeReason, since_ns: int, until_ns: int) -> Iterator[Slice]:
    """The part of a wait before the event."""
    waker = cause.waker
    if since_ns >= until_ns:
        return
    if waker == TIMER:
        yield Slice(since_ns, until_ns, Part.TIMER)
    elif waker == FILE:
        held_ns = max(since_ns, _held_before_ns(log, until_ns))
        yield Slice(since_ns, held_ns, Part.IO)
        for held in _held(log, held_ns, until_ns):
            yield held._replace(at_most=True)
    elif waker <= WORK and (work := log.works.get(WORK - waker)) is not None:
        who = log.places.get(work.place, NO_FRAME)
        begun_ns = min(max(since_ns, work.began_ns), until_ns)
        submitted_ns = min(max(since_ns, work.submitted_ns), begun_ns)
        yield Slice(since_ns, submitted_ns, Part.TASK)
        yield Slice(submitted_ns, begun_ns, Part.QUEUED, who)
        yield Slice(begun_ns, until_ns, Part.EXECUTOR, who)
    elif waker == THREAD or waker <= WORK:
        yield Slice(since_ns, until_ns, Part.EXECUTOR)
    else:
        other = log.by_number.get(waker)
        task = other.runner if other is not None else 0
        yield Slice(since_ns, until_ns, Part.TASK, log.frame_of(task) if task else NO_FRAME, task)


def for_loop(log: StepLog, cause: WakeReason, since_ns: int) -> Iterator[Slice]:
    """The part of a wait after the event, until the loop reached the step."""
    began_ns = cause.through[0].began_ns
    if cause.waker == TIMER:
        first = next(log.between(since_ns, began_ns), None)
        woke_ns = min(first.began_ns if first is not None else began_ns, began_ns)
        if 0 < woke_ns - since_ns <= TIMER_LATE_NS:
            yield Slice(since_ns, woke_ns, Part.TIMER)
            since_ns = woke_ns
    yield from _held(log, since_ns, began_ns)


def _held(log: StepLog, from_ns: int, to_ns: int) -> Iterator[Slice]:
    """What held the loop between two instants, in order."""
    at_ns = from_ns
    for step in log.between(from_ns, to_ns):
        began_ns, ended_ns = max(step.began_ns, at_ns), min(step.ended_ns, to_ns)
        if ended_ns <= began_ns:
            continue
        if began_ns - at_ns > BETWEEN_NS:
            yield Slice(at_ns, began_ns, Part.READY, LATE)
            at_ns = began_ns
        who = log.frame_of(step.runner) if step.number else SHORT
        if to_ns - ended_ns <= BETWEEN_NS:
            ended_ns = to_ns
        yield Slice(at_ns, ended_ns, Part.READY, who, max(step.runner, 0), step.number)
        at_ns = ended_ns
    yield Slice(at_ns, to_ns, Part.READY, LATE)


def _held_before_ns(log: StepLog, at_ns: int) -> int:
    """The start of the turn that ended at *at_ns*: a file found ready after it may have been ready since."""
    step = log.just_before(at_ns)
    since_ns = at_ns
    while step is not None:
        since_ns = step.began_ns
        before = log.just_before(since_ns)
        # Steps of one turn: this one was ready before the previous one began.
        step = before if before is not None and 0 < step.ready_ns < before.began_ns else None
    return since_ns


def _clipped(slices: Iterator[Slice], from_ns: int, to_ns: int) -> Iterator[Slice]:
    for piece in slices:
        began_ns, ended_ns = max(piece.from_ns, from_ns), min(piece.to_ns, to_ns)
        if ended_ns > began_ns:
            yield piece._replace(from_ns=began_ns, to_ns=ended_ns)
