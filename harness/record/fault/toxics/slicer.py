"""`net.slicer`: data in small pieces."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import parameter
from ..toxic import PassingToxic, Piece


@dataclass(frozen=True, slots=True)
class NetSlicer(PassingToxic):
    """Data is passed on in small pieces, with pauses between them."""

    shows: ClassVar[str] = "readers that take one read for one message"

    size_bytes: int = parameter(int, "Bytes in each piece.", above=0, typical=10)
    delay_ms: float = parameter(float, "The pause between two pieces.", default=1.0)

    def describe(self) -> str:
        return f"in pieces of {self.size_bytes} bytes, {self.delay_ms:g} ms apart"

    def pieces(self, data: bytes, passed: int, dice: random.Random) -> Iterator[Piece]:
        for at in range(0, len(data), self.size_bytes):
            yield Piece(max(0.0, self.delay_ms) / 1e3 if at else 0.0, data[at : at + self.size_bytes])


KIND = NetSlicer
