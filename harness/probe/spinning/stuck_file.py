"""Tells whether a ready file or socket is the same at every turn because nobody takes what makes it ready.

Only counters of the kernel are read; nothing is received, and nothing is changed.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from fcntl import ioctl
from selectors import EVENT_READ
from stat import S_ISFIFO, S_ISSOCK
from termios import FIONREAD, TIOCOUTQ

from ...record.value import Row
from ..threads import thread_file

# `struct tcp_info`: the bytes that the peer has acknowledged, and those that have come, so far.
_TCP_INFO, _LENGTH, _BYTES_AT = 11, 192, 120


# The probe itself reads some kilobytes per second in the loop's thread.
COARSE = 1 << 16


class FileState(Row):
    """What the kernel counts about a file; equal while nothing is taken from it or goes into it."""

    unread: int  # bytes; -1 where that is unknown
    unsent: int
    moved: tuple[int, ...]  # bytes sent and received so far

    def describe(self, events: int) -> str:
        """Why the file is ready all the time."""
        if not events & EVENT_READ:
            return "it can be written to, and nothing is written"
        if self.unread > 0:
            return f"{self.unread:,} bytes wait there, and nothing reads them"
        return "its other end is closed" if not self.unread else "nothing takes what makes it ready"


def state_of(fd: int, events: int, native_thread_id: int) -> FileState | None:
    """The state of the file, ready for *events*; `None` where it cannot tell whether anything moves."""
    try:
        mode = os.fstat(fd).st_mode
        if S_ISSOCK(mode):
            return _state_of_socket(fd, events)
        # The kernel counts what the thread reads and writes.
        moved = (*_moved_by(native_thread_id), _counter(fd, native_thread_id))
    except (OSError, ValueError, LookupError, struct.error):
        return None
    return FileState(_asked(fd, FIONREAD) if S_ISFIFO(mode) else -1, -1, moved)


def _state_of_socket(fd: int, events: int) -> FileState | None:
    # Not the program's own object, which may be in use; this one does not own the descriptor.
    copy = socket.socket(fileno=fd)
    try:
        if copy.type != socket.SOCK_STREAM or copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
        moved: tuple[int, ...] = ()
        if copy.family == socket.AF_UNIX:
            if not events & EVENT_READ:
                return None  # the kernel does not count what is sent
        else:
            info = copy.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _LENGTH)
            moved = struct.unpack_from("QQ", info, _BYTES_AT)
        return FileState(_asked(fd, FIONREAD), _asked(fd, TIOCOUTQ), moved)
    finally:
        copy.detach()


def _asked(fd: int, request: int) -> int:
    with suppress(OSError):
        return int(struct.unpack("i", ioctl(fd, request, bytes(4)))[0])
    return -1


def _moved_by(native_thread_id: int) -> tuple[int, ...]:
    lines = dict(line.split(b": ") for line in thread_file.read(native_thread_id, "io").splitlines())
    return int(lines[b"rchar"]) // COARSE, int(lines[b"wchar"]) // COARSE


def _counter(fd: int, native_thread_id: int) -> int:
    """The value of an eventfd that nobody has read; 0 for anything else."""
    for line in thread_file.read(native_thread_id, f"fdinfo/{fd}").splitlines():
        if line.startswith(b"eventfd-count:"):
            return int(line.split()[1], 16)
    return 0
