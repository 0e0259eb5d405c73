"""Keeps the harness's files under numbers that the program does not use.

A program may close descriptors that it does not own: all of them, as daemons do, or one twice by mistake. The
kernel gives the lowest free number to the next file that is opened. Were that one of the harness's, the
record would be written into the program's file, and the end of the record would close it. A high number is
not given again, to the harness itself neither: the file stays closed, which the harness notices.
"""

from __future__ import annotations

import os
from contextlib import suppress
from fcntl import F_DUPFD_CLOEXEC, fcntl
from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Every process that runs a loop loads this file.
    import ctypes
    import socket

# The kernel keeps a table as long as the highest number.
_HIGHEST = 4096
_numbers = count()


def raised(fd: int) -> int:
    """The same open file under a high number, and *fd* closed; *fd* itself where no such number is free."""
    with suppress(OSError):
        high: int = fcntl(fd, F_DUPFD_CLOEXEC, _next())
        os.close(fd)
        return high
    return fd


def quietly_raised(fd: int, library: ctypes.PyDLL) -> int:
    """The same without letting go of the GIL, by the C library."""
    high = quietly_copied(fd, library)
    if high < 0:
        return fd
    library.close(fd)
    return high


def quietly_copied(fd: int, library: ctypes.PyDLL) -> int:
    """The same open file under a high number as well; -1 where no such number is free."""
    return library.fcntl(fd, F_DUPFD_CLOEXEC, _next())  # type: ignore[no-any-return]


def _next() -> int:
    """A number that was not used for long, in the last quarter of what the process may have."""
    most = min(os.sysconf("SC_OPEN_MAX"), _HIGHEST)
    # Downwards: where it is taken, the kernel takes the next one above.
    return most - 1 - next(_numbers) % (most // 4)


def raised_socket(low: socket.socket) -> socket.socket:
    """The same for a socket that has no time limit yet."""
    return type(low)(low.family, low.type, low.proto, fileno=raised(low.detach()))
