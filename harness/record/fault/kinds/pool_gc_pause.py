"""`pool.gc_pause`: a pause of the garbage collector."""

from __future__ import annotations

import functools
import gc
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import Effect, Resolve, parameter


@dataclass(frozen=True, slots=True)
class PoolGcPause:
    """The call makes objects that only a collection of all generations frees, and collects."""

    shows: ClassVar[str] = "a block of the cause gc"

    objects: int = parameter(int, "How many objects are collected.", above=0, typical=1_000_000)

    def describe(self) -> str:
        return f"collects {self.objects:,} objects"

    def prepare(self, resolve: Resolve) -> Effect:
        return Effect(functools.partial(_collect, self.objects))


def _collect(count: int) -> None:
    for _ in range(count):
        circle: list[object] = []
        circle.append(circle)
    gc.collect()


KIND = PoolGcPause
