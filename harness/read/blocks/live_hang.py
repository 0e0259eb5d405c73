"""A turn that has not ended, as `watch_loop` tells it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...record.event import Frame
from .block import Block


@dataclass(frozen=True, slots=True)
class LiveHang:
    """A loop that hangs, or that has just come back."""

    held_s: float  # so far, or in all
    told: int  # 1 for the first time
    returned: bool  # the loop has come back
    ends_process: bool  # the process is about to be ended, because it did not come back
    pid: int
    loop: int
    block: Block = field(repr=False)  # the turn as the block that it is so far

    @property
    def place(self) -> str:
        """The line to blame: ``shop.py:12 load``; the function alone for code without a line."""
        return f"{self.block.where} {self.block.function}".strip()

    @property
    def stack(self) -> tuple[Frame, ...]:
        """The stack of the loop's thread, outermost frame first."""
        return self.block.stack

    @property
    def task(self) -> str:
        """The name of the task that runs; "" for a plain callback."""
        return self.block.task

    def __str__(self) -> str:
        held = f"{self.held_s:.1f} s"
        state = f"came back after {held}" if self.returned else f"held for {held} so far"
        text = f"loop {self.loop} {state} at {self.place or 'an unknown line'} ({self.block.cause})"
        text += f", task {self.task}" if self.task else ""
        return text + (f", span {self.block.span}" if self.block.span else "")
