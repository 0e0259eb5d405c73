"""`loop.ready_flood`: thousands of callbacks that are ready at once."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import Effect, Planted, Resolve, parameter
from ..running_loop import is_in_loop, running_loop


@dataclass(frozen=True, slots=True)
class LoopReadyFlood:
    """The call schedules many short callbacks at once, as a burst of events does."""

    shows: ClassVar[str] = "lag, and a block of many callbacks none of which is long"

    callbacks: int = parameter(int, "How many.", above=0, typical=100_000)

    def describe(self) -> str:
        return f"{self.callbacks:,} callbacks at once"

    def prepare(self, resolve: Resolve) -> Effect:
        return Effect(functools.partial(_flood, self.callbacks), acts_later=True, fits=is_in_loop)


def _flood(count: int, planted: Planted) -> None:
    soon, call = running_loop().call_soon, planted(_nothing)
    for _ in range(count):
        soon(call)


def _nothing() -> None:
    pass


KIND = LoopReadyFlood
