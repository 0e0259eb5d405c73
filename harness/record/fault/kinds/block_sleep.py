"""`block.sleep`: a call that waits in the kernel, like a call of a blocking client library."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import Effect, Resolve, parameter


@dataclass(frozen=True, slots=True)
class BlockSleep:
    """The call first waits in `time.sleep`, which blocks the loop."""

    shows: ClassVar[str] = "a block at the line that makes the call, of the cause sleep, with its victims"

    block_ms: float = parameter(float, "Duration of the block.", above=0, typical=200.0)

    def describe(self) -> str:
        return f"time.sleep({self.block_ms / 1e3:g})"

    def prepare(self, resolve: Resolve) -> Effect:
        return Effect(functools.partial(time.sleep, self.block_ms / 1e3))


KIND = BlockSleep
