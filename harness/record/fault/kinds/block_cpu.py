"""`block.cpu`: a call that computes."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import Effect, Resolve, parameter


@dataclass(frozen=True, slots=True)
class BlockCpu:
    """The call first computes, which blocks the loop."""

    shows: ClassVar[str] = "a block at the line that makes the call, of the cause cpu, with its victims"

    block_ms: float = parameter(float, "Duration of the block.", above=0, typical=200.0)

    def describe(self) -> str:
        return f"{self.block_ms:g} ms of computing"

    def prepare(self, resolve: Resolve) -> Effect:
        return Effect(functools.partial(_burn, int(self.block_ms * 1e6)))


def _burn(for_ns: int) -> None:
    # The thread's own CPU time, so that a busy machine does not shorten the block.
    end_ns = time.thread_time_ns() + for_ns
    while time.thread_time_ns() < end_ns:
        pass


KIND = BlockCpu
