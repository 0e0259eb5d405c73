"""`pool.fd_exhaust`: the process has no file descriptor left."""

from __future__ import annotations

import functools
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import Effect, Resolve, parameter

# The largest limit that a process usually has.
MOST = 1_048_576


@dataclass(frozen=True, slots=True)
class PoolFdExhaust:
    """The call opens descriptors until there are no more, and keeps them until the fault is undone."""

    shows: ClassVar[str] = "what happens to accepts, connections and files when nothing can be opened"

    left: int = parameter(int, "How many are left.", default=0)

    def describe(self) -> str:
        return f"leaves {self.left} file descriptors"

    def prepare(self, resolve: Resolve) -> Effect:
        held: list[int] = []
        return Effect(functools.partial(_fill, held, self.left), release=functools.partial(_close, held))


def _fill(held: list[int], left: int) -> None:
    with suppress(OSError):
        if not held:
            held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        # Copies of one, which cost the kernel nothing but their numbers.
        while len(held) < MOST:
            held.append(os.dup(held[0]))
    for _ in range(min(left, len(held) - 1)):
        os.close(held.pop())


def _close(held: list[int]) -> None:
    while held:
        with suppress(OSError):  # the program may have closed everything
            os.close(held.pop())


KIND = PoolFdExhaust
