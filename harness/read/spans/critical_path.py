"""The critical path of a span: what would have had to be faster for it to end earlier.

The path is walked backwards from the end: a step ran because an event made it ready, which was caused by
another step of this task or another, and so on to the span's start. Everything else could have taken longer.
Spans alone do not show it: of two that overlap, either may have been waited for.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...record.observation import WORK
from .breakdown import Slice, cause_of, for_cause, for_loop
from .segment import Part
from .step_log import GAP_NS, NO_FRAME, LoggedStep, StepLog, is_work

# Maximum number of steps of a path; the oldest are cut.
STEPS = 20_000


def path(log: StepLog, runner: int, from_ns: int, to_ns: int) -> list[Slice]:
    """The slices of the path through a span that began in the task *runner*, oldest first, without a gap."""
    found: list[Slice] = []
    until_ns = to_ns
    for piece in _backwards(log, runner, to_ns):
        began_ns = max(piece.from_ns, from_ns)
        if began_ns < until_ns:
            found.append(piece._replace(from_ns=began_ns, to_ns=until_ns))
            until_ns = began_ns
        if until_ns <= from_ns or len(found) >= STEPS:
            break
    if until_ns > from_ns:
        found.append(Slice(from_ns, until_ns, Part.TASK))
    return found[::-1]


def _backwards(log: StepLog, runner: int, to_ns: int) -> Iterator[Slice]:
    """The slices, newest first; gaps between them count as part of the earlier one."""
    at_ns = to_ns
    step = _step_at(log, runner, at_ns)
    while step is not None:
        yield Slice(
            step.began_ns, at_ns, Part.RUN, log.frame_of(step.runner), max(step.runner, 0), step.number
        )
        cause = cause_of(log, step)
        happened_ns = cause.at_ns or step.began_ns
        yield from reversed(list(for_loop(log, cause, happened_ns)))
        maker = log.by_number.get(cause.waker)
        work = log.works.get(WORK - cause.waker) if is_work(cause.waker) else None
        before = log.before(step) if step.runner > 0 else None
        if maker is not None:
            step, at_ns = maker, min(happened_ns, maker.ended_ns)
        elif work is not None and work.step in log.by_number:
            who = log.places.get(work.place, NO_FRAME)
            yield Slice(work.began_ns, happened_ns, Part.EXECUTOR, who)
            yield Slice(work.submitted_ns, work.began_ns, Part.QUEUED, who)
            step, at_ns = log.by_number[work.step], work.submitted_ns
        elif before is not None:
            yield from reversed(list(for_cause(log, cause, before.ended_ns, happened_ns)))
            step, at_ns = before, before.ended_ns
        else:
            return


def _step_at(log: StepLog, runner: int, at_ns: int) -> LoggedStep | None:
    """The step in which a span of the task *runner* ended."""
    if runner <= 0:
        return None
    # Another task or a callback may have ended it.
    own = log.last_of(runner, at_ns)
    if own is not None and at_ns - own.ended_ns < GAP_NS:
        return own
    return next((step for step in log.between(at_ns - 1, at_ns) if step.number), own)
