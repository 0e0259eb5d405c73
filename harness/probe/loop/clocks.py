"""Chooses how to tell what a loop does that has no selector in Python."""

from __future__ import annotations

import sys
from asyncio import AbstractEventLoop
from types import FrameType

from ...record.clock import monotonic_ns
from ..hooks.state.libuv import LibuvLoop
from ..threads.usage import ThreadClock
from .kernel_clock import KernelClock
from .libuv_clock import LibuvClock
from .lookout import TurnClock

# The package of every module of the probe, or a prefix of it.
_PROBE = (__package__ or "").rpartition(".")[0]


def of(loop: AbstractEventLoop, thread: ThreadClock) -> tuple[TurnClock, bool]:
    """The clock of *loop*, which is about to run on this thread, and whether it counts turns."""
    if (libuv := LibuvLoop.of(loop)) is not None:
        return LibuvClock(libuv, monotonic_ns(), _caller()), True
    return KernelClock(loop, thread, _caller()), False


def _caller() -> FrameType | None:
    """The innermost frame outside the probe."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and str(frame.f_globals.get("__package__")).startswith(_PROBE):
        frame = frame.f_back
    return frame
