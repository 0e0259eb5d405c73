"""Wakes the probe's threads at their times, through the watchdog alone.

A thread whose own time runs out while code holds the GIL would wait for the GIL beside the watchdog, and get
it first as often as not. When it lets the GIL go again, the turn in question may be over without a sample.
"""

from __future__ import annotations

import _thread
from contextlib import suppress

from ..record.clock import monotonic_ns
from ..record.process import collection
from .loop.deadman import TimerFd

# Without a watchdog, a thread wakes by itself so much later.
LATER_S = 10.0
_LONG_NS = 8_000_000_000


class AlarmClock:
    """The times at which threads are to be woken, for the watchdog to keep."""

    def __init__(self) -> None:
        self._due: dict[Alarm, int] = {}
        self._timer: TimerFd | None = None
        with suppress(OSError):
            self._timer = TimerFd()

    @property
    def fd(self) -> int:
        """Becomes readable when `ring` is due; -1 if this system has no such timer, or after `close`."""
        return self._timer.fd if self._timer is not None else -1

    def set(self, alarm: Alarm, at_ns: int) -> bool:
        """Wake *alarm* at that time; false if there is nobody to do it."""
        self._due[alarm] = at_ns
        self._set_timer()
        return self._timer is not None

    def ring(self) -> None:
        """Wake those that are due; called by the watchdog."""
        now_ns = monotonic_ns()
        due = [alarm for alarm, at_ns in tuple(self._due.items()) if at_ns <= now_ns]
        for alarm in due:
            self._due.pop(alarm, None)
        self._set_timer()
        for alarm in due:
            alarm.wake()

    def close(self) -> None:
        """Close the descriptor; who waits goes on by itself."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.close()

    def _set_timer(self) -> None:
        set_ns = 0
        # Again if another thread has added one meanwhile: its time must not be lost.
        while (first_ns := min(tuple(self._due.values()), default=0)) != set_ns:
            set_ns = first_ns
            if self._timer is not None and set_ns:
                self._timer.set(max(1, set_ns - monotonic_ns()))


def rounded_up(now_ns: int, wait_ns: int) -> int:
    """When a wait of at least *wait_ns* ends: at a time when others end as well, so that they share it.

    It becomes longer by less than an eighth, and a long one, of a process that does little, by up to a half.
    """
    bits = max(0, wait_ns.bit_length() - (2 if wait_ns > _LONG_NS else 4))
    return (now_ns + wait_ns + (1 << bits) - 1) >> bits << bits


class Alarm:
    """The waits of one thread between its looks."""

    def __init__(self, clock: AlarmClock | None = None) -> None:
        """Without a *clock*, the thread wakes by itself."""
        self._clock = clock
        self._bell = _thread.allocate_lock()
        self._bell.acquire()
        self._over = False

    def is_set(self) -> bool:
        """Whether there is nothing to wait for any more, as `threading.Event` has it."""
        return self._over

    def set(self) -> None:
        """End all waits, now and later."""
        self._over = True
        self.wake()

    def wake(self) -> None:
        """End the present wait, if there is one; else the next."""
        with suppress(RuntimeError):  # it has been woken already
            self._bell.release()

    def wait(self, seconds: float) -> bool:
        """Wait so long; whether that was ended by `set`."""
        if not self._over:
            at_ns = rounded_up(monotonic_ns(), int(max(0.0, seconds) * 1e9))
            kept = self._clock is not None and self._clock.set(self, at_ns)
            wait_s = seconds + LATER_S if kept else max(0.0, seconds)
            with collection.possible:
                self._bell.acquire(True, wait_s)  # a name would be put into a dictionary
        return self._over
