"""`net.bandwidth`: a narrow line."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import parameter
from ..toxic import PassingToxic, Piece


@dataclass(frozen=True, slots=True)
class NetBandwidth(PassingToxic):
    """Data is passed on at a limited rate."""

    shows: ClassVar[str] = "write buffers that grow, and who waits for `drain`"

    rate_kb_per_s: float = parameter(float, "Kilobytes per second.", above=0, typical=100.0)

    def describe(self) -> str:
        return f"at {self.rate_kb_per_s:g} kB/s"

    def pieces(self, data: bytes, passed: int, dice: random.Random) -> Iterator[Piece]:
        per_s = self.rate_kb_per_s * 1e3
        size = max(1, int(per_s / 20))  # in steps of a twentieth of a second
        for at in range(0, len(data), size):
            part = data[at : at + size]
            yield Piece(len(part) / per_s, part)


KIND = NetBandwidth
