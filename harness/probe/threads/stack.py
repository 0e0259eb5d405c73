"""Converts frames and stacks for the record."""

from __future__ import annotations

from types import CodeType, FrameType

from ...record.observation import Frame

# Deeper stacks lose their outermost frames.
DEPTH = 100


def stack_of(frame: FrameType | None) -> tuple[Frame, ...]:
    """The stack that ends in *frame*, outermost first."""
    frames: list[Frame] = []
    while frame is not None and len(frames) < DEPTH:
        frames.append(of_frame(frame))
        frame = frame.f_back
    return tuple(reversed(frames))


def of_frame(frame: FrameType) -> Frame:
    """*frame*, at the line that it executes."""
    return Frame(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_qualname)


def frame_at(code: CodeType, offset: int) -> Frame:
    """The frame of *code* at the line of the instruction at *offset*, in bytes."""
    lines = (line for start, end, line in code.co_lines() if start <= offset < end)
    return Frame(code.co_filename, next(lines, None) or code.co_firstlineno, code.co_qualname)
