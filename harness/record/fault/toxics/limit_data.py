"""`net.limit_data`: a connection that breaks off."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import parameter
from ..toxic import Ending, PassingToxic, Piece


@dataclass(frozen=True, slots=True)
class NetLimitData(PassingToxic):
    """A connection is closed after so many bytes."""

    shows: ClassVar[str] = "answers that are cut off, and whether they are taken for whole ones"

    size_bytes: int = parameter(int, "Bytes that are passed on.", above=0, typical=1000)

    def describe(self) -> str:
        return f"closes connections after {self.size_bytes} bytes"

    def pieces(self, data: bytes, passed: int, dice: random.Random) -> Iterator[Piece]:
        left = self.size_bytes - passed
        ending = Ending.CLOSE if len(data) >= left else Ending.NONE
        yield Piece(data=data[: max(0, left)], ending=ending)


KIND = NetLimitData
