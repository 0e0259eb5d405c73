"""The step log of a process, read back: what ran when, what made it ready, and in which span."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from operator import attrgetter
from typing import NamedTuple

from ...record import packing
from ...record.event import Frame, SpanEnded, StepsTaken
from ...record.observation import WORK
from ..history import History

NO_FRAME = Frame("", 0, "")
# A task without a span has that of the task that created it; maximum number of creators searched.
MAKERS = 20
# Steps of one turn follow each other within this time.
GAP_NS = 200_000


class LoggedStep(NamedTuple):
    """One run of a callback, or of a task from one wait to the next; as in `StepsTaken`."""

    number: int
    ready_ns: int  # 0: not known
    began_ns: int
    ended_ns: int
    waker: int
    runner: int


class Work(NamedTuple):
    """One piece of work of an executor's thread."""

    number: int
    step: int  # the one that submitted it
    submitted_ns: int
    began_ns: int
    ended_ns: int
    place: int


@dataclass(slots=True)
class StepLog:
    """The steps of one process."""

    steps: list[LoggedStep] = field(default_factory=list)  # in order of their start
    of_task: dict[int, list[LoggedStep]] = field(default_factory=lambda: defaultdict(list))
    by_number: dict[int, LoggedStep] = field(default_factory=dict)
    works: dict[int, Work] = field(default_factory=dict)
    places: dict[int, Frame] = field(default_factory=dict)
    tasks: dict[int, int] = field(default_factory=dict)  # number -> place
    # Both by runner: the spans in order of their start, and the latest end up to each of them.
    spans: dict[int, list[SpanEnded]] = field(default_factory=lambda: defaultdict(list))
    ended_ns: dict[int, list[int]] = field(default_factory=dict)
    worked: list[Work] = field(default_factory=list)  # in order of its end
    cpu: dict[int, tuple[int, int]] = field(default_factory=dict)  # step -> CPU time until its end, and since
    together: dict[int, int] = field(default_factory=dict)  # began -> how long short steps held the loop

    def frame_of(self, runner: int) -> Frame:
        """The first line of the function of a task or callback."""
        return self.places.get(self.tasks.get(runner, 0) if runner > 0 else -runner, NO_FRAME)

    def before(self, step: LoggedStep) -> LoggedStep | None:
        """The previous step of the same task."""
        return self._neighbour(step, -1)

    def after(self, step: LoggedStep) -> LoggedStep | None:
        """The next step of the same task."""
        return self._neighbour(step, 1)

    def last_of(self, task: int, before_ns: int) -> LoggedStep | None:
        """The last step of a task that began before *before_ns*."""
        steps = self.of_task.get(task, [])
        index = bisect_left(steps, before_ns, key=_began_ns)
        return steps[index - 1] if index else None

    def first_of(self, task: int, since_ns: int) -> LoggedStep | None:
        """The first step of a task that began at *since_ns* or later."""
        steps = self.of_task.get(task, [])
        index = bisect_left(steps, since_ns, key=_began_ns)
        return steps[index] if index < len(steps) else None

    def between(self, from_ns: int, to_ns: int) -> Iterator[LoggedStep]:
        """The steps that overlap an interval, oldest first."""
        index = bisect_left(self.steps, from_ns, key=_began_ns)
        while index and self.steps[index - 1].ended_ns > from_ns:
            index -= 1  # steps do not overlap, unless a loop runs inside one
        while index < len(self.steps) and self.steps[index].began_ns < to_ns:
            if self.steps[index].ended_ns > from_ns:
                yield self.steps[index]
            index += 1

    def just_before(self, at_ns: int) -> LoggedStep | None:
        """The step that ended right before *at_ns*."""
        index = bisect_left(self.steps, at_ns, key=_began_ns)
        step = self.steps[index - 1] if index else None
        return step if step is not None and -GAP_NS < step.ended_ns - at_ns < GAP_NS else None

    def occupant(self, from_ns: int, to_ns: int) -> Work | None:
        """The work that ended last in an interval."""
        index = bisect_right(self.worked, to_ns, key=lambda work: work.ended_ns) - 1
        return self.worked[index] if index >= 0 and self.worked[index].ended_ns > from_ns else None

    def span_at(self, task: int, at_ns: int) -> SpanEnded | None:
        """The innermost span of a task at *at_ns*, else of the task that created it."""
        for _ in range(MAKERS):
            own = self._own_span_at(task, at_ns)
            if own is not None:
                return own
            first = next(iter(self.of_task.get(task, ())), None)
            maker = self.by_number.get(first.waker) if first is not None else None
            if first is None or maker is None or maker.runner <= 0:
                return None
            task, at_ns = maker.runner, min(at_ns, first.ready_ns)
        return None

    def _own_span_at(self, task: int, at_ns: int) -> SpanEnded | None:
        spans, ended_ns = self.spans.get(task, []), self.ended_ns.get(task, [])
        index = bisect_right(spans, at_ns, key=_start_ns) - 1
        while index >= 0 and ended_ns[index] >= at_ns:
            if spans[index].end_ns >= at_ns:
                return spans[index]
            index -= 1
        return None

    def _neighbour(self, step: LoggedStep, distance: int) -> LoggedStep | None:
        steps = self.of_task[step.runner]
        index = bisect_left(steps, step.began_ns, key=_began_ns) + distance
        return steps[index] if 0 <= index < len(steps) else None


_began_ns, _start_ns = attrgetter("began_ns"), attrgetter("start_ns")


def step_logs(history: History) -> dict[int, StepLog]:
    """The steps of each process that logged them, by its id."""
    found: dict[int, StepLog] = defaultdict(StepLog)
    begun: dict[tuple[int, int], int] = {}
    for event in history.of(StepsTaken):
        log = found[event.pid]
        log.places.update(zip(event.place_numbers, event.places, strict=True))
        log.tasks.update(packing.unpack(event.tasks, 2))  # type: ignore[arg-type]  # rows of two
        log.works.update((row[0], Work(*row)) for row in packing.unpack(event.works, 6))
        log.cpu.update((row[0], (row[1], row[2])) for row in packing.unpack(event.long_steps, 3))
        for upper, lower, runner, _ in packing.unpack(event.spans, 4):
            begun[event.pid, (upper << 32) + lower] = runner
        for row in packing.unpack(event.steps, 6):
            step = LoggedStep(*row)
            if step.number:
                log.by_number[step.number] = step
            else:
                log.together[step.began_ns] = step.waker
            log.steps.append(step)
            if step.runner > 0:
                log.of_task[step.runner].append(step)
    for log in found.values():
        log.steps.sort(key=_began_ns)
        for steps in log.of_task.values():
            steps.sort(key=_began_ns)
    for span in history.of(SpanEnded):
        began_in = begun.get((span.pid, int(span.span_id or "0", 16)))
        if began_in is not None:
            found[span.pid].spans[began_in].append(span)
    for log in found.values():
        log.worked = sorted(log.works.values(), key=lambda work: work.ended_ns)
        for runner, spans in log.spans.items():
            spans.sort(key=_start_ns)
            log.ended_ns[runner] = list(accumulate((span.end_ns for span in spans), max))
    return dict(found)


def is_work(runner: int) -> bool:
    """Whether a span's runner is a thread of an executor."""
    return runner <= WORK
