"""`net.down`: a service that is not there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..toxic import Ending, PassingToxic


@dataclass(frozen=True, slots=True)
class NetDown(PassingToxic):
    """Every connection is closed, and so is each new one at once."""

    shows: ClassVar[str] = "how often and how soon the service connects again, and what is lost meanwhile"

    def describe(self) -> str:
        return "closes every connection"

    def for_all(self) -> Ending:
        return Ending.CLOSE


KIND = NetDown
