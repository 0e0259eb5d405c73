"""What a blocked call waited for: by the library it was in, else by where the kernel had the thread."""

from __future__ import annotations

from collections import Counter

from ..record.event import Sample
from .interval import Interval
from .library import find, library_calls
from .turn_stack import Territory

# Only where the library tells more than the system call: a queue waits for a lock, a name lookup in `poll`.
_BY_LIBRARY = {
    "concurrent.futures": "future",
    "dns": "dns",
    "filelock": "lock",
    "glob": "file",
    "grpc": "socket",
    "multiprocessing.connection": "queue",
    "multiprocessing.pool": "future",
    "multiprocessing.popen_fork": "subprocess",
    "multiprocessing.popen_forkserver": "subprocess",
    "multiprocessing.queues": "queue",
    "os.walk": "file",
    "pathlib": "file",
    "portalocker": "lock",
    "queue": "queue",
    "shutil": "file",
    "socket": "socket",
    "socket.getaddrinfo": "dns",
    "socket.getfqdn": "dns",
    "ssl": "socket",
    "ssl.SSLContext.load_default_certs": "file",
    "ssl.create_default_context": "file",
    "subprocess": "subprocess",
    "tempfile": "file",
}
_SYSCALLS = {
    "sleep": "clock_nanosleep nanosleep",
    # A thread that computes is seen at a futex too, the GIL's; but its block is not one of a call.
    "lock": "futex",
    "subprocess": "wait4 waitid",
    "file": "access copy_file_range faccessat fallocate fcntl fdatasync flock fsync ftruncate getdents64 "
    "lstat mkdir mkdirat msync newfstatat openat pread64 pwrite64 read readv rename renameat renameat2 rmdir "
    "sendfile stat statx sync syncfs unlink unlinkat write writev",
    "socket": "accept accept4 connect recvfrom recvmsg sendmsg sendto "
    "epoll_pwait epoll_wait poll ppoll pselect6 select",
}
_BY_SYSCALL = {name: kind for kind, names in _SYSCALLS.items() for name in names.split()}


def waits_for(stretch: Interval, territory: Territory) -> str:
    """What most of the waiting in a stretch was for: "sleep", "socket", ...; "" when that is not known."""
    waited_ns: Counter[str] = Counter()
    for look in stretch.looks:
        kind = _kind(look.sample, territory)
        if kind or look.sample.syscall != "running":
            waited_ns[kind] += look.to_ns - look.from_ns
    return max(waited_ns, key=lambda kind: waited_ns[kind], default="")


def _kind(sample: Sample, territory: Territory) -> str:
    calls = reversed(library_calls(sample.stack, territory))
    told = next(filter(None, (find(call, _BY_LIBRARY) for call in calls)), None)
    return told or _BY_SYSCALL.get(sample.syscall, "")
