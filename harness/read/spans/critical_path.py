"""The critical path of a span: what would have had to be faster for it to end earlier.

It is walked backwards, from the end: a step was taken because something had made it ready, that because of
another step, of this task or another, and so on until the span's beginning. What else went on meanwhile could
have taken longer. Spans alone do not tell that: of two that overlap, either may have been waited for.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...record.observation import WORK
from .breakdown import Slice, cause_of, for_cause, for_loop
from .segment import Part
from .step_log import GAP_NS, NOBODY, Step, StepLog, is_work

# Longer paths lose their older end.
STEPS = 20_000


def path(journey: StepLog, runner: int, from_ns: int, to_ns: int) -> list[Slice]:
    """The stretches of the path through a span that began in that task, oldest first, without a gap."""
    found: list[Slice] = []
    until_ns = to_ns
    for stretch in _backwards(journey, runner, to_ns):
        began_ns = max(stretch.from_ns, from_ns)
        if began_ns < until_ns:
            found.append(stretch._replace(from_ns=began_ns, to_ns=until_ns))
            until_ns = began_ns
        if until_ns <= from_ns or len(found) >= STEPS:
            break
    if until_ns > from_ns:
        found.append(Slice(from_ns, until_ns, Part.TASK))
    return found[::-1]


def _backwards(journey: StepLog, runner: int, to_ns: int) -> Iterator[Slice]:
    """Each stretch ends where the one before it began, or is taken to."""
    at_ns = to_ns
    step = _step_at(journey, runner, at_ns)
    while step is not None:
        yield Slice(
            step.began_ns, at_ns, Part.RUN, journey.frame_of(step.runner), max(step.runner, 0), step.number
        )
        cause = cause_of(journey, step)
        happened_ns = cause.at_ns or step.began_ns
        yield from reversed(list(for_loop(journey, cause, happened_ns)))
        maker = journey.by_number.get(cause.waker)
        work = journey.works.get(WORK - cause.waker) if is_work(cause.waker) else None
        before = journey.before(step) if step.runner > 0 else None
        if maker is not None:
            step, at_ns = maker, min(happened_ns, maker.ended_ns)
        elif work is not None and work.step in journey.by_number:
            who = journey.places.get(work.place, NOBODY)
            yield Slice(work.began_ns, happened_ns, Part.EXECUTOR, who)
            yield Slice(work.submitted_ns, work.began_ns, Part.QUEUED, who)
            step, at_ns = journey.by_number[work.step], work.submitted_ns
        elif before is not None:
            yield from reversed(list(for_cause(journey, cause, before.ended_ns, happened_ns)))
            step, at_ns = before, before.ended_ns
        else:
            return


def _step_at(journey: StepLog, runner: int, at_ns: int) -> Step | None:
    """The step in which a span ends that began in that task."""
    if runner <= 0:
        return None
    # It may have been ended by another task, or by a callback.
    own = journey.last_of(runner, at_ns)
    if own is not None and at_ns - own.ended_ns < GAP_NS:
        return own
    return next((step for step in journey.between(at_ns - 1, at_ns) if step.number), own)
