"""Rebuilds the stacks that samples refer to by number from the frame tables of a record."""

from __future__ import annotations

from ..record.observation import Frame, FrameTable


class FrameTables:
    """The frames of any number of processes. A stack is identified by the number of its innermost frame."""

    def __init__(self) -> None:
        self._calls: dict[tuple[int, int], tuple[int, Frame]] = {}

    def add(self, table: FrameTable) -> None:
        """Add the frames of one event."""
        for number, call in enumerate(zip(table.callers, table.frames, strict=True), table.first):
            self._calls[table.pid, number] = call

    def stack(self, pid: int, innermost: int) -> tuple[Frame, ...]:
        """The frames of a stack, outermost first; outer ones are missing if a line was damaged."""
        frames: list[Frame] = []
        while (call := self._calls.get((pid, innermost))) is not None:
            innermost, frame = call
            frames.append(frame)
        return tuple(reversed(frames))
