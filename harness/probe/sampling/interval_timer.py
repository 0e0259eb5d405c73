"""A timer of the kernel that sends one thread a signal at a steady rate.

A POSIX timer through ctypes, and not `signal.setitimer`: its signal goes to this thread alone, so that no
other thread's system call is interrupted; it uses none of the three timers, nor SIGALRM, which a program or
a test's timeout may have taken; and it does not survive `exec`, where its signal would end the new program.
"""

from __future__ import annotations

import signal


class IntervalTimer:
    """Stopped until it is started.

    Raises:
        OSError: The system has no such timers.
    """

    _CLOCK_MONOTONIC = 1
    _SIGEV_THREAD_ID = 4

    def __init__(self, number: int, native_thread_id: int) -> None:
        """Send the signal *number* to that thread of this process."""
        import ctypes

        # It keeps the GIL: these calls are shorter than to give it away and to get it back.
        library = ctypes.PyDLL(None, use_errno=True)
        try:
            create, self._settime = library["timer_create"], library["timer_settime"]
            self._delete = library["timer_delete"]
        except AttributeError as exc:
            raise OSError("this system has no POSIX timers") from exc
        # A `sigevent`: a value for the receiver, here none, then the signal, how to notify, and the thread.
        event = (ctypes.c_int * 16)(0, 0, number, self._SIGEV_THREAD_ID, native_thread_id)
        timer = ctypes.c_void_p()
        if create(self._CLOCK_MONOTONIC, event, ctypes.byref(timer)):
            raise OSError(ctypes.get_errno(), "timer_create failed")
        self._timer = timer
        # An `itimerspec`: the interval and the time to the first tick, each in seconds and nanoseconds.
        self._spec = (ctypes.c_long * 4)()

    def start(self, first_ns: int, every_ns: int) -> None:
        """Tick in *first_ns* for the first time, at least 1, and every so often from then on."""
        spec = self._spec
        spec[0], spec[1] = divmod(every_ns, 1_000_000_000)
        spec[2], spec[3] = divmod(first_ns, 1_000_000_000)
        self._settime(self._timer, 0, spec, None)

    def stop(self) -> None:
        """Tick no more, until it is started again."""
        self._spec[:] = [0, 0, 0, 0]
        self._settime(self._timer, 0, self._spec, None)

    def close(self) -> None:
        """Give the timer back."""
        self._delete(self._timer)


def free_signal() -> int:
    """A real-time signal that nobody has a use for.

    Raises:
        OSError: There is none.
    """
    if hasattr(signal, "SIGRTMIN"):
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        # From the top: programs that use these signals begin at the lower end.
        for number in range(signal.SIGRTMAX, signal.SIGRTMIN, -1):
            if signal.getsignal(number) is signal.SIG_DFL and number not in blocked:
                return number
    raise OSError("no real-time signal is free")
