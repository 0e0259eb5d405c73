"""Reads py-spy's raw format, collapsed stacks, as samples of the record.

A line is ``process PID:"COMMAND";thread (ID): NAME;FRAME;...;FRAME COUNT``, a frame ``FUNCTION (FILE:LINE)``.
Stacks of threads that wait for work are dropped, and so are the probe's own, but not those of faults.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePath

from ...record.event import Event, Frame, FrameTable, Sampled
from ...stacks.ownership import HARNESS, INSIDE, CodeOwnership

_PROCESS = re.compile(r"process (\d+):")
_THREAD = re.compile(r"thread \((\w+)\)(?:: (.*))?")
_FRAME = re.compile(r"(.*) \((.*):(\d+)\)")
# The first call number, above all those that the probe in the same process uses.
FIRST = 1 << 32
# Leaf frames, by function and file, of threads that wait for work: in the selector, in an executor, or below
# a loop that is not written in Python.
IDLE = {("select", "selectors.py"), ("_worker", "thread.py"), ("run", "runners.py"), ("run", "__init__.py")}
# Recognises the probe's own frames: its replacement of a selector's `select`, and its threads.
OWNERSHIP = CodeOwnership()
# The code of injected faults, which acts for the function that calls it.
_FAULTS = f"{HARNESS}/probe/control/", f"{INSIDE}/probe/control/"


def events(text: str, at_ns: int, hz: float) -> Iterator[Event]:
    """The samples of a recording that began at *at_ns*."""
    numbers: dict[int, dict[tuple[int, Frame], int]] = defaultdict(dict)
    samples = []
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        pid, thread, frames = _parts(stack)
        frames = _without_fault(frames)
        if not count.isdigit() or not frames or _is_idle(frames):
            continue
        caller = 0
        for frame in frames:
            calls = numbers[pid]
            caller = calls.setdefault((caller, frame), FIRST + len(calls))
        samples.append(Sampled(at_ns, pid, thread, "outside", hz, caller, int(count), "", "", "", "", ""))
    for pid, calls in numbers.items():
        callers = tuple(caller for caller, _ in calls)
        yield FrameTable(at_ns, pid, FIRST, callers, tuple(frame for _, frame in calls))
    yield from samples


def _parts(stack: str) -> tuple[int, str, list[Frame]]:
    pid, thread = 0, ""
    frames: list[Frame] = []
    for part in stack.split(";"):
        if not thread:  # still the process, whose command may contain anything
            if process := _PROCESS.match(part):
                pid = int(process[1])
            elif found := _THREAD.fullmatch(part):
                thread = found[2] or found[1]
        elif found := _FRAME.fullmatch(part):
            frames.append(Frame(found[2], int(found[3]), found[1]))
        else:
            frames.append(Frame("", 0, part))  # native, or of an unknown kind
    return pid, thread, frames


def _without_fault(frames: list[Frame]) -> list[Frame]:
    """The stack down to the function that a fault makes wait or compute, without the code of the fault."""
    count = next((n for n, frame in enumerate(frames) if frame.file.startswith(_FAULTS)), len(frames))
    return frames[:count]


def _is_idle(frames: list[Frame]) -> bool:
    leaf = next(
        (frame for frame in reversed(frames) if frame.line), frames[-1]
    )  # the innermost that is not native
    if OWNERSHIP.is_harness(leaf) or OWNERSHIP.is_harness(frames[0]):
        return True
    return (leaf.function.rpartition(".")[2], PurePath(leaf.file).name) in IDLE
