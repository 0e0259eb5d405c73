"""Simulated hosts: they only sleep, and fail as configured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import Random

from ..errors import HostUnavailableError
from .failure import NEVER, FailureModel
from .latency import Latency, Lognormal

# One restart in twenty takes longer than 45 ms.
LATENCY = Lognormal(median_s=0.02, sigma=0.5)


class SimulatedHost:
    """Restarts in a random time and fails at random, repeatably for the same seed and name.

    Args:
        clock: Seconds. Flapping and slow start are relative to the host's creation.
    """

    def __init__(
        self,
        name: str,
        *,
        seed: int,
        latency: Latency = LATENCY,
        failure: FailureModel = NEVER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._latency = latency
        self._failure = failure
        self._clock = clock
        # The same numbers are drawn in the same order, needed or not, so that changing the failures does not
        # change the restart times.
        self._random = Random(f"{seed}/{name}")
        phase = self._random.random()
        # A random phase, so that hosts are not all down at once.
        self._phase_s = phase * failure.flapping.period_s if failure.flapping else 0.0
        self._made_at = clock()

    async def restart(self) -> None:
        await asyncio.sleep(self._next_restart_s())
        if self._random.random() < self._failure.chance:
            raise HostUnavailableError(f"{self.name}: did not come up")

    async def health(self) -> None:
        flapping = self._failure.flapping
        if flapping and (down_s := flapping.down_for_s(self._phase_s + self._age_s())):
            raise HostUnavailableError(f"{self.name}: down for another {down_s:.1f} s")

    def _next_restart_s(self) -> float:
        restart_s = self._latency.draw_s(self._random)
        slow_start = self._failure.slow_start
        return restart_s * slow_start.slowness(self._age_s()) if slow_start else restart_s

    def _age_s(self) -> float:
        return self._clock() - self._made_at
