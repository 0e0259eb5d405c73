"""The time that each function of the program took in one run, with the libraries below it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from ....stacks.turn_stack import TurnStack
from ...history import History
from ...samples.sample import SamplingWay, stack_samples


@dataclass(slots=True)
class FunctionTime:
    """One function, by its name and file: code moves between versions."""

    function: str
    where: str  # the file as reports name it
    file: str
    ms: float = 0.0  # on the loop, per request or run
    lines: dict[int, float] = field(default_factory=lambda: defaultdict(float))  # of this, by line

    @property
    def line(self) -> int:
        """The line that took most of it."""
        return max(self.lines, key=lambda line: self.lines[line], default=0)

    def scale(self, by: float) -> None:
        """Multiply its times."""
        self.ms *= by
        for line in self.lines:
            self.lines[line] *= by


# By name and file as reports name it.
FunctionTimes = dict[tuple[str, str], FunctionTime]


def function_times(history: History, units: float, *, whole_ms: float | None = None) -> FunctionTimes:
    """The time of every sampled function of the program, divided by *units*; empty without samples.

    On a busy machine, samples are missed, and some stand for a time in which the process got no processor.
    So the times are scaled to add up to *whole_ms*, the time that the loops worked, if that is given.
    """
    ownership = history.ownership()
    found: FunctionTimes = {}
    for sample in stack_samples(history):
        if sample.way in (SamplingWay.EXECUTOR, SamplingWay.LATE):
            continue
        frame = TurnStack(sample.stack, ownership).blamed
        if frame is None:
            continue
        key = frame.function, ownership.short(frame.file)
        time = found.setdefault(key, FunctionTime(*key, frame.file))
        spent_ms = sample.weight_ns / 1e6 / units
        time.ms += spent_ms
        time.lines[frame.line] += spent_ms
    sampled_ms = sum(time.ms for time in found.values())
    if whole_ms is not None and sampled_ms:
        for time in found.values():
            time.scale(whole_ms / units / sampled_ms)
    return found
