"""How long a thread has waited for a processor, read cheaply enough for a healthy loop.

The file of `/proc` stays open, and is read without releasing the GIL: that takes some three microseconds.
`usage.py` reads the same of any thread, but only while a loop is late.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Any

from . import thread_file


def _pread64() -> Any:
    # Not `os.pread`, which releases the GIL: beside a busy thread, the loop would wait for it.
    with suppress(AttributeError):
        function = ctypes.PyDLL(None)["pread64"]
        function.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64)
        function.restype = ctypes.c_ssize_t
        return function
    return None


class RunQueue:
    """The waiting time of one thread of this process."""

    _SIZE = 64
    # Made once: that takes longer than to open the file.
    _pread = _pread64()

    def __init__(self, native_thread_id: int) -> None:
        self._fd = -1
        if self._pread is not None:
            self._buffer = ctypes.create_string_buffer(self._SIZE)
            with suppress(OSError):  # this kernel has no such figure
                self._fd = thread_file.opened(native_thread_id, "schedstat")

    def waited_ns(self) -> int | None:
        """How long the thread has been ready to run so far without running; `None` where that is unknown."""
        if self._fd < 0:
            return None
        length = self._pread(self._fd, self._buffer, self._SIZE, 0)
        fields = self._buffer.raw[: max(0, length)].split()
        # The program may have closed every descriptor, and this number may be another file's now.
        return int(fields[1]) if len(fields) == 3 and fields[1].isdigit() else None

    def close(self) -> None:
        """Close the file; the figure is unknown from then on."""
        fd, self._fd = self._fd, -1
        thread_file.close(fd)
