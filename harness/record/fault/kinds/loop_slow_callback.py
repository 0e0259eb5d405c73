"""`loop.slow_callback`: a callback that blocks, scheduled by the call."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import Effect, Planted, Resolve, parameter
from ..running_loop import is_in_loop, running_loop


@dataclass(frozen=True, slots=True)
class LoopSlowCallback:
    """The call schedules a callback that waits in `time.sleep`: the next turn of the loop is a block."""

    shows: ClassVar[str] = "a block in a callback, that belongs to no task"

    block_ms: float = parameter(float, "Duration of the block.", above=0, typical=200.0)

    def describe(self) -> str:
        return f"a callback with time.sleep({self.block_ms / 1e3:g})"

    def prepare(self, resolve: Resolve) -> Effect:
        return Effect(functools.partial(_schedule, self.block_ms / 1e3), acts_later=True, fits=is_in_loop)


def _schedule(for_s: float, planted: Planted) -> None:
    running_loop().call_soon(planted(time.sleep), for_s)


KIND = LoopSlowCallback
