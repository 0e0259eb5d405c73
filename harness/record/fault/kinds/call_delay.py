"""`call.delay`: a call that takes longer, while the loop goes on."""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import ClassVar

from ..catalogue import Effect, Resolve, parameter
from ..running_loop import is_in_loop


@dataclass(frozen=True, slots=True)
class CallDelay:
    """The call of a coroutine function first waits in `asyncio.sleep`, as a slow network does."""

    shows: ClassVar[str] = "limits in time, queues and pools behind something slow; the loop is not blocked"

    delay_ms: float = parameter(float, "How long.", above=0, typical=200.0)
    jitter_ms: float = parameter(float, "How much longer or shorter, at random.", default=0.0)

    def describe(self) -> str:
        jitter = f" ± {self.jitter_ms:g}" if self.jitter_ms else ""
        return f"asyncio.sleep of {self.delay_ms:g}{jitter} ms"

    def prepare(self, resolve: Resolve) -> Effect:
        jitter_s = min(abs(self.jitter_ms), self.delay_ms) / 1e3
        wait = functools.partial(_wait, random.Random(), self.delay_ms / 1e3, jitter_s)
        return Effect(_nothing, fits=is_in_loop, waits=wait)


def _wait(dice: random.Random, delay_s: float, jitter_s: float) -> Awaitable[None]:
    wait: Awaitable[None] = sys.modules["asyncio"].sleep(delay_s + dice.uniform(-jitter_s, jitter_s))
    return wait


def _nothing() -> None:
    pass


KIND = CallDelay
