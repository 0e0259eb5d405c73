"""The end, in order: a first wish drains, a second one or the deadline cuts short."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from .stack_dump import stack_dump

log = logging.getLogger(__name__)

# After the deadline, for what was cut short to be handed back. What has not ended then is held somewhere.
LAST_S = 5.0
# For the last words to be written.
WORDS_S = 0.5


class Shutdown:
    """Takes the wish to end, from a signal or from the service itself, until it is left as a context.

    Args:
        cut: Cancels the service, which hands back what is in hand.
        drain_s: From the first wish to the cut at most. May be changed until it is asked.
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
        """From now on there is something to finish: *drain* stops the intake. Before, the end is a cut."""
        self._drain = drain

    def ask_from_thread(self, reason: str) -> None:
        """Ask from another thread, and see to it that the process ends even if the loop never hears it."""
        if self._last is None:
            self._last = threading.Timer(self.drain_s + LAST_S, self._leave)
            self._last.name, self._last.daemon = "mayhem-last-resort", True
            self._last.start()
        self._loop.call_soon_threadsafe(self.ask, reason)

    def ask(self, reason: str) -> None:
        """Drain when asked first, cut short when asked again."""
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The service has ended: nothing is left to be cut, or to be left behind."""
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
        """Somebody will want to know what it was that did not end."""
        log.warning("not drained in time\n%s", stack_dump(self._loop))
        self._cut_short("deadline")

    def _leave(self) -> None:
        log.critical("left at once: its end takes too long\n%s", stack_dump(self._loop))
        time.sleep(WORDS_S)
        os._exit(1)
