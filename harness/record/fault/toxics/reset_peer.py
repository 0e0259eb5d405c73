"""`net.reset_peer`: a peer that has crashed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import parameter
from ..toxic import Ending, PassingToxic, Piece


@dataclass(frozen=True, slots=True)
class NetResetPeer(PassingToxic):
    """A connection over which data comes is reset."""

    shows: ClassVar[str] = "errors in the middle of a request: what is tried again, and what is done twice"

    after_ms: float = parameter(float, "How long after the first data.", default=0.0)

    def describe(self) -> str:
        return f"resets connections {self.after_ms:g} ms after data"

    def pieces(self, data: bytes, passed: int, dice: random.Random) -> Iterator[Piece]:
        yield Piece(max(0.0, self.after_ms) / 1e3, ending=Ending.RESET)


KIND = NetResetPeer
