"""Converts a thread's stack for the record."""

from __future__ import annotations

from types import FrameType

from ...record.observation import Frame

# Deeper stacks lose their outermost frames.
DEPTH = 100


def stack_of(frame: FrameType | None) -> tuple[Frame, ...]:
    """The stack that ends in *frame*, outermost first."""
    frames: list[Frame] = []
    while frame is not None and len(frames) < DEPTH:
        code = frame.f_code
        frames.append(Frame(code.co_filename, frame.f_lineno or 0, code.co_qualname))
        frame = frame.f_back
    frames.reverse()
    return tuple(frames)
