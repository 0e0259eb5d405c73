"""How many callbacks a loop ran and how many tasks it began, from the step log of a record.

The counts are exact where every trace was logged, and then the log slows down what it counts: they are for
runs apart from those whose time is compared.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ....record.event import Frame, StepLogUnavailable, StepsTaken
from ...history import History
from ...spans.step_log import NO_FRAME, step_logs
from .counter import between, by_loop


@dataclass(frozen=True, slots=True)
class StepCounts:
    """What happened in a part of a run."""

    callbacks: int  # steps of tasks among them
    tasks: Counter[Frame]  # those that took their first step, by the first line of their function


def step_counts(history: History, from_ns: int, to_ns: int) -> StepCounts | None:
    """The counts between two times; `None` where not every step was seen."""
    taken = history.of(StepsTaken)
    if not taken or history.of(StepLogUnavailable) or any(one.share < 1 or one.dropped for one in taken):
        return None
    tasks: Counter[Frame] = Counter()
    for log in step_logs(history).values():
        for task, steps in log.of_task.items():
            if steps and from_ns <= steps[0].began_ns <= to_ns and task in log.tasks:
                tasks[log.places.get(log.tasks[task], NO_FRAME)] += 1
    return StepCounts(sum(between(read, "taken", from_ns, to_ns) for read in by_loop(taken).values()), tasks)
