"""`pool.memory`: memory that grows."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import Effect, Resolve, parameter


@dataclass(frozen=True, slots=True)
class PoolMemory:
    """The call takes memory, which is kept until the fault is undone."""

    shows: ClassVar[str] = "memory that grows on the timeline, and what the system does at its limit"

    size_mb: float = parameter(float, "How much, in megabytes.", above=0, typical=10.0)

    def describe(self) -> str:
        return f"keeps {self.size_mb:g} MB"

    def prepare(self, resolve: Resolve) -> Effect:
        kept: list[bytearray] = []
        return Effect(functools.partial(_keep, kept, int(self.size_mb * 1e6)), release=kept.clear)


def _keep(kept: list[bytearray], size: int) -> None:
    # Each page is written to: memory that nobody has touched is not taken.
    block = bytearray(size)
    block[::4096] = b"x" * len(range(0, size, 4096))
    kept.append(block)


KIND = PoolMemory
