"""A dead-man's timer: it wakes the watchdog only if the loop does NOT restart it in time.

The watchdog waits for it in the kernel, without the GIL, so it costs nothing while the loop is on time. A
thread that wakes up periodically would need the GIL at every tick; beside a busy loop it waits tens of
milliseconds for it each time, and slows the loop down as well.
"""

from __future__ import annotations

import os

from ...record.process.high_descriptor import quietly_raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Every process that runs a loop loads this file.
    from ctypes import PyDLL
    from typing import Protocol

    class DeadMan(Protocol):
        """A file descriptor that becomes readable when the timer runs out."""

        fd: int

        def set(self, after_ns: int) -> None:
            """Restart the timer, to run out *after_ns* from now. Callable from any thread."""

        def close(self) -> None:
            """Close the descriptor."""


class TimerFd:
    """A Linux timerfd, by ctypes: Python's own (3.13) releases the GIL in each call, which costs a switch.

    Raises:
        OSError: The system has no timerfd.
    """

    _CLOCK_MONOTONIC = 1
    _FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
    _library: PyDLL | None = None

    def __init__(self) -> None:
        import ctypes

        # Made once: that takes longer than the timer itself.
        library = TimerFd._library = TimerFd._library or ctypes.PyDLL(None, use_errno=True)
        try:
            self._settime = library["timerfd_settime"]
            fd = library["timerfd_create"](self._CLOCK_MONOTONIC, self._FLAGS)
        except AttributeError as exc:
            raise OSError("this system has no timerfd") from exc
        if fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self.fd = quietly_raised(fd, library)
        # An `itimerspec`: the interval, here none, and the time to the end, each in seconds and nanoseconds.
        self._itimerspec = ctypes.c_long * 4
        self._made: dict[int, object] = {}

    def set(self, after_ns: int) -> None:
        if (argument := self._made.get(after_ns)) is None:
            argument = self._itimerspec(0, 0, *divmod(after_ns, 1_000_000_000))
            if len(self._made) < 8:  # the loop sets the same time again and again
                self._made[after_ns] = argument
        self._settime(self.fd, 0, argument, None)

    def close(self) -> None:
        # Cleared first: another thread may still set the timer, and the number may soon be another file's.
        fd, self.fd = self.fd, -1
        os.close(fd)
