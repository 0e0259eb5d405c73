"""What a blocked call waited for, judged by its library, else by the thread's system call."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from .interval import Interval, StackObservation
from .library import find


class WaitKind(StrEnum):
    """What a call waits for, by the names of `report.json`."""

    SLEEP = "sleep"
    SOCKET = "socket"
    FILE = "file"
    DNS = "dns"
    SUBPROCESS = "subprocess"
    LOCK = "lock"
    QUEUE = "queue"
    FUTURE = "future"
    UNKNOWN = ""


# Only libraries more specific than the system call: a queue waits for a lock, a name lookup in `poll`.
_BY_LIBRARY = {
    "concurrent.futures": WaitKind.FUTURE,
    "dns": WaitKind.DNS,
    "filelock": WaitKind.LOCK,
    "glob": WaitKind.FILE,
    "grpc": WaitKind.SOCKET,
    "multiprocessing.connection": WaitKind.QUEUE,
    "multiprocessing.pool": WaitKind.FUTURE,
    "multiprocessing.popen_fork": WaitKind.SUBPROCESS,
    "multiprocessing.popen_forkserver": WaitKind.SUBPROCESS,
    "multiprocessing.queues": WaitKind.QUEUE,
    "os.walk": WaitKind.FILE,
    "pathlib": WaitKind.FILE,
    "portalocker": WaitKind.LOCK,
    "queue": WaitKind.QUEUE,
    "shutil": WaitKind.FILE,
    "socket": WaitKind.SOCKET,
    "socket.getaddrinfo": WaitKind.DNS,
    "socket.getfqdn": WaitKind.DNS,
    "ssl": WaitKind.SOCKET,
    "ssl.SSLContext.load_default_certs": WaitKind.FILE,
    "ssl.create_default_context": WaitKind.FILE,
    "subprocess": WaitKind.SUBPROCESS,
    "tempfile": WaitKind.FILE,
}
_SYSCALLS = {
    WaitKind.SLEEP: "clock_nanosleep nanosleep",
    # A computing thread also waits in a futex, for the GIL, but then the cause of its block is not a call.
    WaitKind.LOCK: "futex",
    WaitKind.SUBPROCESS: "wait4 waitid",
    WaitKind.FILE: "access copy_file_range faccessat fallocate fcntl fdatasync flock fsync ftruncate "
    "getdents64 lstat mkdir mkdirat msync newfstatat openat pread64 pwrite64 read readv rename renameat "
    "renameat2 rmdir sendfile stat statx sync syncfs unlink unlinkat write writev",
    WaitKind.SOCKET: "accept accept4 connect recvfrom recvmsg sendmsg sendto "
    "epoll_pwait epoll_wait poll ppoll pselect6 select",
}
_BY_SYSCALL = {name: kind for kind, names in _SYSCALLS.items() for name in names.split()}


def waits_for(interval: Interval) -> WaitKind:
    """What an interval mostly waited for; `WaitKind.UNKNOWN` if that is not known."""
    waited_ns: Counter[WaitKind] = Counter()
    for look in interval.looks:
        kind = _kind(look)
        if kind or look.sample.syscall != "running":
            waited_ns[kind] += look.to_ns - look.from_ns
    return max(waited_ns, key=lambda kind: waited_ns[kind], default=WaitKind.UNKNOWN)


def _kind(look: StackObservation) -> WaitKind:
    calls = reversed(look.stack.library_calls)
    known = next(filter(None, (find(call, _BY_LIBRARY) for call in calls)), None)
    return known or _BY_SYSCALL.get(look.sample.syscall, WaitKind.UNKNOWN)
