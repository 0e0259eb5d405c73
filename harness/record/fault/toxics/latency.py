"""`net.latency`: data that comes later."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import parameter
from ..toxic import PassingToxic, Piece


@dataclass(frozen=True, slots=True)
class NetLatency(PassingToxic):
    """Everything is passed on later, in its order."""

    shows: ClassVar[str] = "limits in time, and how many requests wait at once when each takes longer"

    delay_ms: float = parameter(float, "How much later.", above=0, typical=200.0)
    jitter_ms: float = parameter(float, "How much more or less, at random.", default=0.0)

    def describe(self) -> str:
        return f"{self.delay_ms:g} ms later" + (f" ± {self.jitter_ms:g}" if self.jitter_ms else "")

    def pieces(self, data: bytes, passed: int, dice: random.Random) -> Iterator[Piece]:
        jitter_ms = min(abs(self.jitter_ms), self.delay_ms)
        yield Piece((self.delay_ms + dice.uniform(-jitter_ms, jitter_ms)) / 1e3, data)


KIND = NetLatency
