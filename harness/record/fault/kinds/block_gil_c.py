"""`block.gil_c`: a call in C that keeps the GIL, like an extension module at work."""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import Effect, Resolve, parameter


@dataclass(frozen=True, slots=True)
class BlockGilC:
    """The call first waits in C with the GIL, which blocks the loop and every other thread."""

    shows: ClassVar[str] = "a block that only a look from outside can see while it lasts, and late threads"

    block_ms: float = parameter(float, "Duration of the block.", above=0, typical=200.0)

    def describe(self) -> str:
        return f"{self.block_ms:g} ms in C with the GIL"

    def prepare(self, resolve: Resolve) -> Effect:
        # Unlike `CDLL`, it keeps the GIL during the call. `usleep` takes 32 bits of microseconds.
        usleep = ctypes.PyDLL(None).usleep
        return Effect(functools.partial(usleep, min(int(self.block_ms * 1e3), 2**32 - 1)))


KIND = BlockGilC
