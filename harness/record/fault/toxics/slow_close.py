"""`net.slow_close`: a connection that ends late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import parameter
from ..toxic import PassingToxic


@dataclass(frozen=True, slots=True)
class NetSlowClose(PassingToxic):
    """The end of a connection is passed on later."""

    shows: ClassVar[str] = "pools that wait for connections to close, and shutdowns that take long"

    delay_ms: float = parameter(float, "How much later.", above=0, typical=1000.0)

    def describe(self) -> str:
        return f"ends {self.delay_ms:g} ms later"

    def at_end(self) -> float:
        return self.delay_ms / 1e3


KIND = NetSlowClose
