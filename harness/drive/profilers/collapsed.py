"""Reads py-spy's raw format, collapsed stacks, as samples of the record.

A line is ``process PID:"COMMAND";thread (ID): NAME;FRAME;...;FRAME COUNT``, a frame ``FUNCTION (FILE:LINE)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...record.event import Event, Frame
from . import outside_stacks
from .outside_stacks import OutsideStack

_PROCESS = re.compile(r"process (\d+):")
_THREAD = re.compile(r"thread \((\w+)\)(?:: (.*))?")
_FRAME = re.compile(r"(.*) \((.*):(\d+)\)")
# The first call number, above all those that the probe in the same process uses.
FIRST = 1 << 32


def events(text: str, at_ns: int, hz: float) -> Iterator[Event]:
    """The samples of a recording that began at *at_ns*."""
    return outside_stacks.events(_stacks(text), at_ns, hz, first=FIRST)


def _stacks(text: str) -> Iterator[OutsideStack]:
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if count.isdigit():
            yield OutsideStack(*_parts(stack), int(count))


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
