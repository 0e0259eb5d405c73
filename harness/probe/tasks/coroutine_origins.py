"""Makes Python record where each coroutine is created, while a loop runs; off by default.

This is the part of asyncio's debug mode that keeps one frame for each coroutine. As in debug mode, a warning
about a coroutine that was never awaited then says where it was created.
"""

from __future__ import annotations

import sys
import threading
from asyncio import AbstractEventLoop
from typing import TYPE_CHECKING

from ..feature import Feature

if TYPE_CHECKING:
    from ..session import ProbeSession

DEPTH = 1


class CoroutineOrigins(Feature):
    """Sets the depth of origin tracking while a thread's loop runs, and restores the thread's own."""

    def __init__(self) -> None:
        self._here = threading.local()

    def loop_begins(self, loop: AbstractEventLoop) -> None:
        if getattr(self._here, "before", None) is None:
            self._here.before = sys.get_coroutine_origin_tracking_depth()
            sys.set_coroutine_origin_tracking_depth(max(DEPTH, self._here.before))

    def loop_stopped(self) -> None:
        if (before := getattr(self._here, "before", None)) is not None:
            sys.set_coroutine_origin_tracking_depth(before)
            self._here.before = None

    abandon = loop_stopped


def create(_session: ProbeSession) -> Feature:
    return CoroutineOrigins()
