"""Reads the kernel's files about threads and processes, and leaves none of them open in a child after a fork.

A fork on another thread copies every open descriptor. Here descriptors are opened and closed without
releasing the GIL, so that a fork, which needs it, finds each of them in `_open`. The read releases it:
otherwise a thread that computes would be found waiting for it.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from contextlib import suppress
from functools import partial
from operator import call

from ...record.process import collection
from ...record.process.high_descriptor import quietly_copied

# As they are now: a tool of the program may replace them by functions that raise on a loop.
_read, _stat = os.read, os.stat
_SIZE = 4096  # of the longest such file
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_library = ctypes.PyDLL(None)
_open: set[int] = set()


def read(native_thread_id: int, name: str) -> bytes:
    """The content of the thread's file *name*.

    Raises:
        OSError: The thread has ended, or the kernel has no such file.
    """
    return read_path(f"/proc/self/task/{native_thread_id}/{name}")


def read_path(path: str) -> bytes:
    """The first 4 KiB of one of the kernel's files.

    Raises:
        OSError: It cannot be opened or read.
    """
    fd = _opened(path)
    try:
        # The read releases the GIL: beside a busy thread, this one gets it back only after milliseconds.
        with collection.possible:
            return _read(fd, _SIZE)
    finally:
        close(fd)


def opened(native_thread_id: int, name: str) -> int:
    """A descriptor of the thread's file *name*, to be closed by `close`.

    Raises:
        OSError: The thread has ended, or the kernel has no such file.
    """
    low = _opened(f"/proc/self/task/{native_thread_id}/{name}")
    if (high := quietly_copied(low, _library)) < 0:
        return low
    _open.add(high)
    close(low)
    return high


def close(fd: int) -> None:
    """Close a descriptor, unless `abandon` has."""
    if fd in _open:
        # In one step of the interpreter. Were the number still noted when it is closed, another thread could
        # get it for a file of the program, and fork: the child would close that.
        deque(map(call, (partial(_open.discard, fd), partial(_library.close, fd))), 0)


def resident_bytes() -> int | None:
    """The memory of this process that is in RAM; `None` if the kernel does not tell."""
    with suppress(OSError, ValueError, IndexError):
        return int(read_path("/proc/self/statm").split()[1]) * _PAGE_BYTES
    return None


def descriptors() -> int | None:
    """The number of descriptors that this process has open, without a list of them; `None` before Linux 6.2.

    Listing them releases the GIL for each one, and a busy loop would have to hand it back as often.
    """
    with suppress(OSError):
        return _stat("/proc/self/fd").st_size or None
    return None


def abandon() -> None:
    """Close what a thread of the parent had open, in a child after `fork`."""
    while _open:
        _library.close(_open.pop())


def _opened(path: str) -> int:
    fd: int = _library.open(path.encode(), os.O_RDONLY | os.O_CLOEXEC)
    if fd < 0:
        raise OSError(f"{path} cannot be opened")
    _open.add(fd)
    return fd
