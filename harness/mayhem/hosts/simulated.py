"""Hosts that only take their time: there is nothing behind them."""

from __future__ import annotations

import asyncio
import math
import time
from random import Random

# The median restart, and its spread: one in twenty takes longer than 45 ms.
RESTART_S = 0.02
SIGMA = 0.5
# One round trip of a client library that blocks.
HEALTH_S = 0.002


class SimulatedHost:
    """Restarts in a log-normally distributed time; the same seed and name give the same times."""

    def __init__(self, name: str, *, seed: int) -> None:
        self.name = name
        self._random = Random(f"{seed}/{name}")

    async def restart(self) -> None:
        await asyncio.sleep(self._random.lognormvariate(math.log(RESTART_S), SIGMA))

    def check_health(self) -> None:
        time.sleep(HEALTH_S)
