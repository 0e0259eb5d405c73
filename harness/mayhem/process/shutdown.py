"""Graceful shutdown: the first request drains, a second one or the deadline cuts the drain short."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Self

from .stack_dump import stack_dump

log = logging.getLogger(__name__)

# Time after the deadline for handing back messages. If the loop has not ended by then, it is blocked.
LAST_S = 5.0
# Time for the log's thread to write the last lines.
WORDS_S = 0.5


class Shutdown:
    """Handles requests to shut down, from signals or from the service itself, while the context is active.

    Args:
        cut: Cancels the service, which then hands back the messages in flight.
        drain_s: Time from the first request until the drain is cut short. May be changed until then.
    """

    def __init__(self, cut: Callable[[], object], *, drain_s: float) -> None:
        self.asked = False
        self.was_cut = False
        self.drain_s = drain_s
        self._cut = cut
        self._drain: Callable[[], object] | None = None
        self._loop = asyncio.get_running_loop()
        self._deadline: asyncio.TimerHandle | None = None
        self._last: threading.Timer | None = None

    def drain_by(self, drain: Callable[[], object]) -> None:
        """Drain by calling *drain*, which stops the intake; earlier requests cancel the service."""
        self._drain = drain

    def ask_from_thread(self, reason: str) -> None:
        """Request a shutdown from another thread; the process exits even if the loop never runs again."""
        if self._last is None:
            self._last = threading.Timer(self.drain_s + LAST_S, self._leave)
            self._last.name, self._last.daemon = "mayhem-last-resort", True
            self._last.start()
        self._loop.call_soon_threadsafe(self.ask, reason)

    def ask(self, reason: str) -> None:
        """Drain on the first request, cut the drain short on the second."""
        if self.asked:
            self._cut_short(reason)
            return
        self.asked = True
        if self._drain is None:
            log.info("stopped before it was ready", extra={"reason": reason})
            self._cut()
            return
        log.info("draining", extra={"reason": reason, "deadline_s": self.drain_s})
        self._drain()
        self._deadline = self._loop.call_later(self.drain_s, self._miss_deadline)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._last is not None:
            self._last.cancel()

    def _cut_short(self, reason: str) -> None:
        if self.was_cut or self._drain is None:
            return
        self.was_cut = True
        log.warning("drain cut short", extra={"reason": reason})
        self._cut()

    def _miss_deadline(self) -> None:
        log.warning("not drained in time\n%s", stack_dump(self._loop))
        self._cut_short("deadline")

    def _leave(self) -> None:
        log.critical("exit forced: the shutdown takes too long\n%s", stack_dump(self._loop))
        time.sleep(WORDS_S)
        os._exit(1)
