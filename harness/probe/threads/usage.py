"""Reads from /proc (Linux) what a thread of this process does, and its CPU time, while a loop is late."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress

from ...record.observation import FUTEX_WITH_LIMIT
from ...record.value import Row
from . import thread_file

# The system calls in which threads of Python programs are found, by number; others are recorded as numbers.
_X86_64 = {
    0: "read", 1: "write", 4: "stat", 6: "lstat", 7: "poll", 17: "pread64", 18: "pwrite64", 19: "readv",
    20: "writev", 21: "access", 23: "select", 26: "msync", 35: "nanosleep", 40: "sendfile", 42: "connect",
    43: "accept", 44: "sendto", 45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 56: "clone",
    57: "fork", 58: "vfork", 61: "wait4", 72: "fcntl", 73: "flock", 74: "fsync", 75: "fdatasync",
    77: "ftruncate", 82: "rename", 83: "mkdir", 84: "rmdir", 87: "unlink", 162: "sync", 202: "futex",
    217: "getdents64", 230: "clock_nanosleep", 232: "epoll_wait", 247: "waitid", 257: "openat",
    262: "newfstatat", 263: "unlinkat", 264: "renameat", 269: "faccessat", 270: "pselect6", 271: "ppoll",
    281: "epoll_pwait", 285: "fallocate", 288: "accept4", 306: "syncfs", 316: "renameat2",
    326: "copy_file_range", 332: "statx", 426: "io_uring_enter", 435: "clone3", 441: "epoll_pwait2",
}  # fmt: skip
_AARCH64 = {
    22: "epoll_pwait", 25: "fcntl", 32: "flock", 34: "mkdirat", 35: "unlinkat", 38: "renameat",
    46: "ftruncate", 47: "fallocate", 48: "faccessat", 56: "openat", 61: "getdents64", 63: "read",
    64: "write", 65: "readv", 66: "writev", 67: "pread64", 68: "pwrite64", 71: "sendfile", 72: "pselect6",
    73: "ppoll", 79: "newfstatat", 81: "sync", 82: "fsync", 83: "fdatasync", 95: "waitid", 98: "futex",
    101: "nanosleep", 115: "clock_nanosleep", 202: "accept", 203: "connect", 206: "sendto",
    207: "recvfrom", 211: "sendmsg", 212: "recvmsg", 220: "clone", 242: "accept4", 260: "wait4",
    227: "msync", 267: "syncfs", 276: "renameat2", 285: "copy_file_range", 291: "statx",
    426: "io_uring_enter", 435: "clone3", 441: "epoll_pwait2",
}  # fmt: skip
_NAMES = {"x86_64": _X86_64, "aarch64": _AARCH64}.get(os.uname().machine, {})


class ThreadClock:
    """The CPU clock of the thread that makes it, to be read on any thread, also when that one has ended."""

    def __init__(self) -> None:
        self.native_thread_id = threading.get_native_id()
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._cpu_ns = 0

    def cpu_ns(self) -> int:
        """Its CPU time so far."""
        with suppress(OSError):  # it has ended
            self._cpu_ns = time.clock_gettime_ns(self._clock)
        return self._cpu_ns

    def call(self) -> tuple[str, tuple[int, ...]]:
        """The system call that it is in, as `syscall` names it, and the arguments of that call."""
        return _call(self.native_thread_id)


def waits_for_another(native_thread_id: int) -> bool:
    """Whether the thread waits for a lock or semaphore without a time limit; false if that is not known."""
    name, arguments = _call(native_thread_id)
    return name == "futex" and len(arguments) > 3 and not _has_limit(arguments)


def call_of_another(native_thread_id: int) -> str:
    """As `syscall`, but a futex with a time limit is told apart."""
    name, arguments = _call(native_thread_id)
    return FUTEX_WITH_LIMIT if name == "futex" and _has_limit(arguments) else name


def _has_limit(futex: tuple[int, ...]) -> bool:
    # The fourth argument points to it.
    return len(futex) > 3 and bool(futex[3])


def _call(native_thread_id: int) -> tuple[str, tuple[int, ...]]:
    try:
        return parsed_call(thread_file.read(native_thread_id, "syscall"))
    except OSError:
        return "", ()


class Usage(Row):
    """The times of a thread since it began."""

    cpu_ns: int
    queued_ns: int  # runnable, but not running: other threads had the processors


def usage(native_thread_id: int) -> Usage | None:
    """The times that the thread has run and has waited to run; `None` where the kernel does not show them."""
    try:
        cpu_ns, queued_ns = thread_file.read(native_thread_id, "schedstat").split()[:2]
        return Usage(int(cpu_ns), int(queued_ns))
    except (OSError, ValueError):
        return None


def parsed_call(text: bytes) -> tuple[str, tuple[int, ...]]:
    """The name of a system call, and its arguments, from the kernel's file `syscall`; "" for unknown."""
    try:
        first, *words = text.decode().split()
        arguments = tuple(int(word, 16) for word in words[:6])
    except ValueError:
        return "", ()
    return (_NAMES.get(int(first), first), arguments) if first.isdigit() else (first, ())


def syscall(native_thread_id: int) -> str:
    """The system call that the thread is in, or "running"; "" where the kernel does not show it."""
    try:
        first = thread_file.read(native_thread_id, "syscall").split(maxsplit=1)[0].decode()
    except (OSError, IndexError):
        return ""
    return _NAMES.get(int(first), first) if first.isdigit() else first
