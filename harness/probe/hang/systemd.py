"""Feeds systemd's watchdog from the loops themselves, so that a service is restarted when one does not turn.

A thread that feeds it would go on while the loop is held. So each loop runs a timer, twice in the time that
systemd allows; this is the only thing that the probe ever schedules in a loop, and only if it is asked for.
A loop that waits for its clients is fed, too; a program without a running loop is not.
"""

from __future__ import annotations

import os
import threading
from asyncio import AbstractEventLoop, TimerHandle
from contextvars import Context
from typing import TYPE_CHECKING

from ..feature import Feature
from ..hooks import hook
from ..hooks.hook import Hook
from .notify_socket import NotifySocket

if TYPE_CHECKING:
    from ..session import ProbeSession

PART = "systemd's watchdog"


class WatchdogFeed(Feature):
    """Feeds the watchdog while every running loop turns."""

    name = PART

    def __init__(self) -> None:
        self._hook = Hook(PART)
        self._timers: dict[int, TimerHandle] = {}  # by thread, of each running loop
        self._turned: set[int] = set()  # the threads whose loops have turned since the watchdog was fed
        self._socket: NotifySocket | None = None
        self.every_s = 0.0
        self.why_not = _why_not()
        if not self.why_not:
            try:
                self._socket = NotifySocket(os.environ["NOTIFY_SOCKET"])
                self.every_s = int(os.environ["WATCHDOG_USEC"]) / 2e6
            except (OSError, ValueError) as exc:
                self.why_not = str(exc)
        hook.leave_out(PART, self.why_not)

    def loop_begins(self, loop: AbstractEventLoop) -> None:
        if self._socket is not None and self._hook.is_on:
            self._cancel()
            self._schedule(loop, 0.0)

    def loop_stopped(self) -> None:
        self._cancel()

    def close(self) -> None:
        self._hook.undo()
        self._cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # The child has the descriptor, too; the watchdog is its parent's to feed.
    abandon = close

    def _schedule(self, loop: AbstractEventLoop, after_s: float) -> None:
        beat = self._hook.guarded(self._beat)
        # Without a context of its own, the timer would keep that of the program alive.
        self._timers[threading.get_ident()] = loop.call_later(after_s, beat, loop, context=Context())

    def _beat(self, loop: AbstractEventLoop) -> None:
        self._turned.add(threading.get_ident())
        if self._socket is not None and self._turned >= self._timers.keys():
            self._turned.clear()
            self._socket.send("WATCHDOG=1")
        self._schedule(loop, self.every_s)

    def _cancel(self) -> None:
        here = threading.get_ident()
        self._turned.discard(here)
        if (timer := self._timers.pop(here, None)) is not None:
            timer.cancel()


def _why_not() -> str:
    """Why this process has no watchdog to feed; "" if it has one."""
    usec, address = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("NOTIFY_SOCKET", "")
    if not usec or not address:
        missing = "WATCHDOG_USEC" if not usec else "NOTIFY_SOCKET"
        return f"{missing} is not set: expected a unit with WatchdogSec= and NotifyAccess="
    if not usec.isdecimal() or not int(usec):
        return f"WATCHDOG_USEC: expected a number of microseconds, got {usec!r}"
    # `harness watch` is the process that systemd started, and the program is its child.
    pid = os.environ.get("WATCHDOG_PID", "")
    if pid and pid not in (str(os.getpid()), str(os.getppid())):
        return f"it is fed by process {pid} (WATCHDOG_PID), not by this one"
    return ""


def create(session: ProbeSession) -> Feature:
    return WatchdogFeed()
