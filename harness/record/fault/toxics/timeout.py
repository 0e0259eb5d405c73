"""`net.timeout`: a peer that answers no more."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import parameter
from ..toxic import Ending, PassingToxic, Piece


@dataclass(frozen=True, slots=True)
class NetTimeout(PassingToxic):
    """No data is passed on any more; then the connection is closed."""

    shows: ClassVar[str] = "calls without a limit in time, which wait for ever"

    after_ms: float = parameter(
        float, "When it is closed, after the first data; 0 for not before the fault is undone.", default=0.0
    )

    def describe(self) -> str:
        return "passes nothing on" + (f", and closes after {self.after_ms:g} ms" if self.after_ms > 0 else "")

    def pieces(self, data: bytes, passed: int, dice: random.Random) -> Iterator[Piece]:
        # The data is lost, as on a network that is cut.
        yield Piece(self.after_ms / 1e3 if self.after_ms > 0 else float("inf"), ending=Ending.CLOSE)


KIND = NetTimeout
