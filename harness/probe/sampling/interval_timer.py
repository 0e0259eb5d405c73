"""A kernel timer that sends a signal to one thread at a steady rate.

It is a POSIX timer, by ctypes, instead of `signal.setitimer`. Its signal goes to one thread only, so it
interrupts no other thread's system call. It uses neither the three timers nor SIGALRM, which a program or a
test's timeout may need. And it does not survive `exec`, where its signal would kill the new program.
"""

from __future__ import annotations

import signal

from ..hooks.process.process_hook import call_at_exit


class IntervalTimer:
    """A timer, not started yet.

    Raises:
        OSError: The system has no such timers.
    """

    _CLOCK_MONOTONIC = 1
    _SIGEV_THREAD_ID = 4

    def __init__(self, number: int, native_thread_id: int) -> None:
        """Set up the signal *number* for that thread of this process."""
        import ctypes

        # PyDLL keeps the GIL: these calls take less time than releasing and reacquiring it.
        library = ctypes.PyDLL(None, use_errno=True)
        try:
            create, self._settime = library["timer_create"], library["timer_settime"]
            self._delete = library["timer_delete"]
        except AttributeError as exc:
            raise OSError("this system has no POSIX timers") from exc
        # A `sigevent`: a value for the receiver (unused), the signal, the kind of notification, the thread.
        event = (ctypes.c_int * 16)(0, 0, number, self._SIGEV_THREAD_ID, native_thread_id)
        timer = ctypes.c_void_p()
        if create(self._CLOCK_MONOTONIC, event, ctypes.byref(timer)):
            raise OSError(ctypes.get_errno(), "timer_create failed")
        self._timer = timer
        # At its end Python gives every signal its default action, by which a tick would end the process. An
        # error may keep the sampler from deleting the timer itself.
        self._stay_past_exit = call_at_exit(self._delete, timer)
        # An `itimerspec`: the interval and the time to the first tick, each in seconds and nanoseconds.
        self._spec = (ctypes.c_long * 4)()

    def start(self, first_ns: int, every_ns: int) -> None:
        """Tick after *first_ns*, at least 1, and every *every_ns* from then on."""
        spec = self._spec
        spec[0], spec[1] = divmod(every_ns, 1_000_000_000)
        spec[2], spec[3] = divmod(first_ns, 1_000_000_000)
        self._settime(self._timer, 0, spec, None)

    def stop(self) -> None:
        """Stop ticking until the next `start`."""
        self._spec[:] = [0, 0, 0, 0]
        self._settime(self._timer, 0, self._spec, None)

    def close(self) -> None:
        """Delete the timer."""
        self._stay_past_exit()
        self._delete(self._timer)

    def abandon(self) -> None:
        """Forget the timer in a child after `fork`, which has none."""
        self._stay_past_exit()


def free_signal() -> int:
    """A real-time signal that the process does not use.

    Raises:
        OSError: There is none.
    """
    if hasattr(signal, "SIGRTMIN"):
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        # From the highest: programs that use these signals begin with the lowest.
        for number in range(signal.SIGRTMAX, signal.SIGRTMIN, -1):
            if signal.getsignal(number) is signal.SIG_DFL and number not in blocked:
                return number
    raise OSError("no real-time signal is free")
