"""Reads the metrics that libuv keeps about a loop of uvloop, from any thread.

libuv counts its turns and, if asked to, measures how long it has waited for events; Node.js reports its loops
by the same figures (`uv_metrics_info`, `uv_metrics_idle_time`). uvloop contains libuv, exports its functions
and hands out the loop's address (`libuv_get_loop_t_ptr`). Each call takes nanoseconds and keeps the GIL, so
that the loop cannot be closed meanwhile.
"""

from __future__ import annotations

import sys
from asyncio import AbstractEventLoop
from typing import Any, NamedTuple, Self

# uv_loop_option
_MEASURE_IDLE_TIME = 1


class LibuvReading(NamedTuple):
    """The state of a loop at one moment."""

    turns: int  # begun waits, so the number of the running turn
    idle_ns: int  # how long the loop has waited so far
    is_waiting: bool
    now_ns: int  # the loop's own time, in whole milliseconds: about when the running turn began


class LibuvLoop:
    """The metrics of one loop, valid until it is closed."""

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
        self._loop = ctypes.c_void_p(address_of(module.libuv_get_loop_t_ptr(loop), None))
        # `uv_metrics_t`: the turns, the events, the events that did not wait; and room for more.
        self._info = (ctypes.c_uint64 * 32)()
        self._read_info = library["uv_metrics_info"]
        self._idle_time, self._now = library["uv_metrics_idle_time"], library["uv_now"]
        self._idle_time.restype = self._now.restype = ctypes.c_uint64
        self._timeout = library["uv_backend_timeout"]
        self.descriptor: int = library["uv_backend_fd"](self._loop)
        if library["uv_loop_configure"](self._loop, _MEASURE_IDLE_TIME):
            raise OSError("libuv does not measure the idle time here")

    def read(self) -> LibuvReading:
        """The state now."""
        before_ns = self._idle_time(self._loop)
        self._read_info(self._loop, self._info)
        now_ns = self._now(self._loop) * 1_000_000
        # While it waits, the idle time grows between the two calls.
        idle_ns = self._idle_time(self._loop)
        return LibuvReading(self._info[0], idle_ns, idle_ns > before_ns, now_ns)

    def due_ns(self) -> int:
        """When a waiting loop will wake up by itself; 0 for never or unknown.

        It is unknown if another thread has given the loop something to do and has not woken it up.
        """
        after_ms = self._timeout(self._loop)
        return (self._now(self._loop) + after_ms) * 1_000_000 if after_ms > 0 else 0
