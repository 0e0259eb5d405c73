"""What the timing of a turn costs in this very process, measured when it ends."""

from __future__ import annotations

import selectors
from collections.abc import Callable
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any

from ..record import page
from .turns import Turns

TURNS = 500
ROUNDS = 3


def per_turn_ns() -> float:
    """Nanoseconds that one turn takes longer than with the selector's own `select`; at least 0."""
    with selectors.DefaultSelector() as selector:
        loop: Any = SimpleNamespace(_selector=selector)
        turns = Turns(
            memoryview(bytearray(page.WORDS * 8)).cast("q"),
            limit_ns=10**12,
            on_late=lambda *_: None,
            on_overslept=lambda *_: None,
        )
        plain, timed = [], []
        for _ in range(ROUNDS):
            plain.append(_time(selector.select))
            turns.begin(loop, _NoTimer())
            timed.append(_time(selector.select))
            turns.end()
        return max(0.0, (min(timed) - min(plain)) / TURNS)


def _time(select: Callable[..., object]) -> int:
    began = perf_counter_ns()
    for _ in range(TURNS):
        select(0)
    return perf_counter_ns() - began


class _NoTimer:
    fd = -1

    def set(self, after_ns: int) -> None: ...

    def close(self) -> None: ...
