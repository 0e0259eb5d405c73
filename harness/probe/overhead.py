"""Measures the cost of timing one turn and of logging one step, when the process ends."""

from __future__ import annotations

import selectors
from asyncio import BaseEventLoop
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from types import SimpleNamespace
from typing import Any

from ..record import page
from ..record.clock import monotonic_ns
from .hooks.state.loop_state import run_first
from .hooks.state.loop_state import selector as loop_selector
from .hooks.state.task_state import unstarted_task
from .loop.turns import Turns

# Few, because every process pays for them at its end. The least of the rounds is taken.
TURNS = 60
STEPS = 300
ROUNDS = 5


def per_turn_ns() -> float:
    """Nanoseconds added to one turn by the probe's `select`, compared with the selector's own; at least 0."""
    with selectors.DefaultSelector() as selector:
        loop: Any = SimpleNamespace(_selector=selector)
        turns = _no_turns()
        plain, timed = [], []
        for _ in range(ROUNDS):
            plain.append(_time(loop_selector(loop).select))
            turns.begin(loop, _NoTimer())
            timed.append(_time(loop_selector(loop).select))
            turns.end()
        return max(0.0, (min(timed) - min(plain)) / TURNS)


def per_step_ns() -> float:
    """Nanoseconds added to one step of a chosen trace by logging it; at least 0.

    To be called only where steps were logged, so that `step_hook` has been imported: importing it now would
    define dataclasses, by `exec`, after which Python would forget that a Ctrl-C ended it, and exit with
    another status.
    """
    from .hooks.step_hook import log_steps

    loop = BaseEventLoop()
    loop.set_debug(False)
    traced: ContextVar[Any] = ContextVar("traced", default=True)
    plain, logged = [], []
    for _ in range(ROUNDS):
        plain.append(_time_steps(loop))
        hook = log_steps(
            loop,
            _no_turns(),
            first=0,
            is_chosen=None,
            number_of=lambda _: 1,
            runner_of=lambda *_: -1,
            working={},
        )
        hook.use_variable(traced)
        logged.append(_time_steps(loop))
        hook.stop()
    loop.close()
    return max(0.0, (min(logged) - min(plain)) / STEPS)


def _time_steps(loop: BaseEventLoop) -> int:
    task = unstarted_task(loop)
    step, context = task.done, copy_context()  # a method of a task, like every step of a task
    began = monotonic_ns()
    for _ in range(STEPS):
        loop.call_soon(step, context=context)
        run_first(loop)
    return monotonic_ns() - began


def _no_turns() -> Turns:
    return Turns(
        memoryview(bytearray(page.WORDS * 8)).cast("q"),
        limit_ns=10**12,
        on_late=lambda *_: None,
        on_overslept=lambda *_: None,
    )


def _time(select: Callable[..., object]) -> int:
    began = monotonic_ns()
    for _ in range(TURNS):
        select(0)
    return monotonic_ns() - began


class _NoTimer:
    fd = -1

    def set(self, after_ns: int) -> None: ...

    def close(self) -> None: ...
