"""Has Python keep where each coroutine is made, while a loop runs; off unless asked for.

It is what asyncio's debug mode does, without the rest of that mode: one frame is noted for each coroutine.
A warning about a coroutine that was never awaited then tells where it was made, as in debug mode.
"""

from __future__ import annotations

import sys
import threading
from asyncio import AbstractEventLoop

DEPTH = 1


class CoroutineOrigins:
    """The thread's own setting, and ours while its loop runs."""

    def __init__(self) -> None:
        self._here = threading.local()

    def changed(self, loop: AbstractEventLoop | None) -> None:
        """*loop* begins to run in this thread, or `None`: the one that ran has stopped."""
        before = getattr(self._here, "before", None)
        if loop is not None and before is None:
            self._here.before = sys.get_coroutine_origin_tracking_depth()
            sys.set_coroutine_origin_tracking_depth(max(DEPTH, self._here.before))
        elif loop is None and before is not None:
            sys.set_coroutine_origin_tracking_depth(before)
            self._here.before = None
