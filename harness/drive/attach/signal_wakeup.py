"""Makes an idle uvloop return to Python: libuv repeats a wait that was interrupted, and runs no Python then.

A loop of uvloop in the main thread gives Python a descriptor that the handler of a signal writes to
(`signal.set_wakeup_fd`). When something arrives at its other end, the loop calls a function of Python, and
ignores bytes that are 0. So one is written, to a copy of the descriptor. Its number lies in the interpreter's
state, at a place that the target's own interpreter has found in itself (`helper.py`).
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# The number is the same for all architectures that Linux got since it has this call, and for x86.
_PIDFD_GETFD = 438


def is_needed(pid: int) -> bool:
    """Whether the process has loaded uvloop."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False
    return "/uvloop/loop." in maps


def wake(pid: int, descriptor: Callable[[], int]) -> bool:
    """Write to the process's descriptor for signals; false if it has none.

    *descriptor* reads its number, -1 for none.
    """
    number = descriptor()
    if number < 0:
        return False
    with suppress(OSError):
        copy = _copied(pid, number)
        try:
            # Unless it has closed it since, so that the number might stand for something else.
            if descriptor() == number and stat.S_ISSOCK(os.fstat(copy).st_mode) and not os.get_blocking(copy):
                os.write(copy, b"\0")
                return True
        finally:
            os.close(copy)
    return False


def _copied(pid: int, number: int) -> int:
    """A descriptor of this process for what is open under that number in the other.

    Raises:
        OSError: There is none, the kernel cannot do that, or does not permit it.
    """
    process = os.pidfd_open(pid)
    try:
        copy: int = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, number, 0)
    finally:
        os.close(process)
    if copy < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return copy
