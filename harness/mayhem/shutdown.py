"""The end, in order: a first signal drains, a second one or the deadline cuts short."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """Takes the wish to end, from a signal or from the service itself.

    Args:
        drain: Stops the intake.
        cut: Cancels what is in hand, which hands it back.
        drain_s: From the one to the other at most.
    """

    def __init__(self, drain: Callable[[], object], cut: Callable[[], object], *, drain_s: float) -> None:
        self.asked = False
        self.was_cut = False
        self._drain = drain
        self._cut = cut
        self._drain_s = drain_s
        self._deadline: asyncio.TimerHandle | None = None

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listen to `SIGNALS` while the block runs. To be entered outside of any span.

        A handler runs in the context of its registration: a span that is open here would be its parent.
        """
        loop = asyncio.get_running_loop()
        for signum in SIGNALS:
            loop.add_signal_handler(signum, self.ask, signum.name)
        try:
            yield
        finally:
            for signum in SIGNALS:
                loop.remove_signal_handler(signum)
            if self._deadline is not None:
                self._deadline.cancel()

    def ask(self, reason: str) -> None:
        """Drain when asked first, cut short when asked again."""
        if self.asked:
            self._cut_short(reason)
            return
        self.asked = True
        log.info("draining", extra={"reason": reason, "deadline_s": self._drain_s})
        self._drain()
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._drain_s, self._cut_short, "deadline")

    def _cut_short(self, reason: str) -> None:
        self.was_cut = True
        log.warning("drain cut short", extra={"reason": reason})
        self._cut()
