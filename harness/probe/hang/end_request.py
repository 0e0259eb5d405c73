"""Ends the process when the runner asks for it, because its loop hangs and the watchdog cannot run.

Code that holds the GIL stops every thread. Much of it, such as a regular expression or arithmetic with large
integers, lets signals be handled in between, so a handler can still list the tasks. Of code that does not,
the process is ended from outside, without them.
"""

from __future__ import annotations

import signal
import threading
from asyncio import AbstractEventLoop
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from ...record.clock import monotonic_ns
from ...record.process.end_request import NUMBER
from ..feature import Feature
from ..hooks.hook import Hook
from . import evidence

if TYPE_CHECKING:
    from ..session import ProbeSession


class EndRequests(Feature):
    """Handles the signal, in a program that does not use it itself."""

    name = "end of a hang"

    def __init__(self, session: ProbeSession) -> None:
        self._session = session
        self._hook = Hook(self.name)
        self._handler: Any = None

    def loop_begins(self, loop: AbstractEventLoop) -> None:
        # Only the main thread may set handlers, and it is the one that runs them.
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and self._handler is None and signal.getsignal(NUMBER) == signal.SIG_DFL:
            self._handler = self._hook.guarded(self._asked)
            signal.signal(NUMBER, self._handler)

    def close(self) -> None:
        if self._handler is not None and signal.getsignal(NUMBER) is self._handler:
            with suppress(ValueError):  # not the main thread
                signal.signal(NUMBER, signal.SIG_DFL)

    abandon = close

    def _asked(self, _number: int, frame: FrameType | None) -> None:
        now_ns, limit_ns = monotonic_ns(), round(self._session.config.hang_exit_s * 1e9)
        states = [(max(turns.state()), number) for number, turns in self._session.loops.running()]
        late = [(began_ns, number) for began_ns, number in states if began_ns]
        began_ns, number = min(late, default=(now_ns, 0))
        if now_ns - began_ns < limit_ns:
            return  # it has come back since it was asked
        self._session.end_hung(evidence.of_process(number, began_ns, now_ns, limit_ns, frame))


def create(session: ProbeSession) -> Feature:
    return EndRequests(session)
