"""Reads the metrics that libuv keeps about a loop of uvloop, from any thread.

libuv counts its turns and, if asked to, measures how long it has waited for events; Node.js reports its loops
by the same figures (`uv_metrics_info`, `uv_metrics_idle_time`). uvloop contains libuv, exports its functions
and hands out the loop's address (`libuv_get_loop_t_ptr`). Each reading is one call into C that takes
nanoseconds and keeps the GIL, so that the loop cannot be closed meanwhile. What libuv has freed is not read,
even if the end of the loop was missed.
"""

from __future__ import annotations

import operator
import sys
from asyncio import AbstractEventLoop
from functools import partial
from itertools import takewhile
from typing import Any, Self

from ....record.value import Row

# uv_loop_option
_MEASURE_IDLE_TIME = 1


class LibuvReading(Row):
    """The state of a loop at one moment."""

    turns: int  # begun waits, so the number of the running turn
    idle_ns: int  # how long the loop has waited so far
    is_waiting: bool
    now_ns: int  # the loop's own time, in whole milliseconds: about when the running turn began


class LibuvLoop:
    """The metrics of one loop. Of one that has been closed, they are those that were read last."""

    @classmethod
    def of(cls, loop: AbstractEventLoop) -> Self | None:
        """Have libuv measure *loop*; `None` if it is not uvloop's, or of a version without these metrics.

        To be called on the loop's thread. Afterwards each wait begins with one more system call, which does
        not wait, so that only real waiting is measured.
        """
        module = sys.modules.get("uvloop.loop")
        if not isinstance(loop, getattr(module, "Loop", ())):
            return None
        try:
            return cls(module, loop)
        except (ImportError, OSError, AttributeError, TypeError, ValueError):
            return None

    def __init__(self, module: Any, loop: AbstractEventLoop) -> None:
        import ctypes

        library = ctypes.PyDLL(module.__file__)
        address_of = ctypes.pythonapi["PyCapsule_GetPointer"]
        address_of.argtypes, address_of.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_void_p
        at = ctypes.c_void_p(address_of(module.libuv_get_loop_t_ptr(loop), None))
        # `uv_metrics_t`: the turns, the events, the events that did not wait; and room for more.
        self._info = (ctypes.c_uint64 * 32)()
        idle_time, now = library["uv_metrics_idle_time"], library["uv_now"]
        idle_time.restype = now.restype = ctypes.c_uint64
        self.descriptor: int = library["uv_backend_fd"](at)
        if library["uv_loop_configure"](at, _MEASURE_IDLE_TIME):
            raise OSError("libuv does not measure the idle time here")
        # These keep the loop, so that its memory remains, and begin with the question whether it is closed.
        is_closed, idle = partial(module.Loop.is_closed, loop), partial(idle_time, at)
        time = partial(now, at)
        self._reading = (is_closed, idle, partial(library["uv_metrics_info"], at, self._info), time, idle)
        self._waking = (is_closed, time, partial(library["uv_backend_timeout"], at))
        self._last = LibuvReading(0, 0, is_waiting=True, now_ns=0)

    def read(self) -> LibuvReading:
        """The state now."""
        if not (values := _call_all(self._reading)):
            return self._last._replace(is_waiting=True)
        before_ns, _, now_ms, idle_ns = values
        # While it waits, the idle time grows between the two calls.
        self._last = LibuvReading(self._info[0], idle_ns, idle_ns > before_ns, now_ms * 1_000_000)
        return self._last

    def due_ns(self) -> int:
        """When a waiting loop will wake up by itself; 0 for never or unknown.

        It is unknown if another thread has given the loop something to do and has not woken it up.
        """
        now_ms, after_ms = _call_all(self._waking) or (0, 0)
        return (now_ms + after_ms) * 1_000_000 if after_ms > 0 else 0


def _call_all(steps: tuple[Any, ...]) -> list[int]:
    """The results of all but the first; none if that returns true.

    By one call into C: between two in Python, another thread could get the GIL and close the loop.
    """
    return list(takewhile(partial(operator.is_not, True), map(operator.call, steps)))[1:]
