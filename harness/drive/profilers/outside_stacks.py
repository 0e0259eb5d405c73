"""Stacks counted from outside as samples of the record.

Stacks of threads that wait for work are dropped, and so are the probe's own, but not those of faults.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from ...record.event import Event, Frame, FrameTable, Sampled
from ...stacks.ownership import HARNESS, INSIDE, CodeOwnership

# Leaf frames, by function and file, of threads that wait for work: in the selector, in an executor, or below
# a loop that is not written in Python.
IDLE = {("select", "selectors.py"), ("_worker", "thread.py"), ("run", "runners.py"), ("run", "__init__.py")}
# Recognises the probe's own frames: its replacement of a selector's `select`, and its threads.
OWNERSHIP = CodeOwnership()
# The code of injected faults, which acts for the function that calls it.
_FAULTS = f"{HARNESS}/probe/control/", f"{INSIDE}/probe/control/"


@dataclass(frozen=True, slots=True)
class OutsideStack:
    """One stack of one thread, outermost frame first, and how often it was seen."""

    pid: int
    thread: str
    frames: list[Frame]
    count: int


def events(stacks: Iterable[OutsideStack], at_ns: int, hz: float, *, first: int) -> Iterator[Event]:
    """The samples of a recording that began at *at_ns*; its frames are numbered from *first* on."""
    numbers: dict[int, dict[tuple[int, Frame], int]] = defaultdict(dict)
    samples = []
    for stack in stacks:
        frames = _without_fault(stack.frames)
        if not frames or _is_idle(frames):
            continue
        caller, calls = 0, numbers[stack.pid]
        for frame in frames:
            caller = calls.setdefault((caller, frame), first + len(calls))
        samples.append(
            Sampled(at_ns, stack.pid, stack.thread, "outside", hz, caller, stack.count, "", "", "", "", "")
        )
    for pid, calls in numbers.items():
        callers = tuple(caller for caller, _ in calls)
        yield FrameTable(at_ns, pid, first, callers, tuple(frame for _, frame in calls))
    yield from samples


def _without_fault(frames: list[Frame]) -> list[Frame]:
    """The stack down to the function that a fault makes wait or compute, without the code of the fault."""
    count = next((n for n, frame in enumerate(frames) if frame.file.startswith(_FAULTS)), len(frames))
    return frames[:count]


def _is_idle(frames: list[Frame]) -> bool:
    # The innermost frame that is not native.
    leaf = next((frame for frame in reversed(frames) if frame.line), frames[-1])
    if OWNERSHIP.is_harness(leaf) or OWNERSHIP.is_harness(frames[0]):
        return True
    return (leaf.function.rpartition(".")[2], PurePath(leaf.file).name) in IDLE
