"""One process as `/proc` shows it (Linux). Each reading may find it gone, and then gives nothing."""

from __future__ import annotations

import fcntl
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from ...record.redact import redacted_command

# A command line can be as long as two megabytes; a record keeps the part that people recognise.
ARGUMENTS, LETTERS = 64, 500
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
# Of the kernel: the process is a copy of its parent that has not called `exec`.
_FORKED = 0x40
_OWNER = (b"Tgid:", b"Uid:", b"Gid:", b"Groups:")
# `ioctl(pidfd, PIDFD_GET_INFO)`, Linux 6.13; since 6.15 it knows the status of a process that was reaped.
_INFO_BYTES, _EXIT_BIT, _EXIT_AT = 64, 1 << 3, 60
_GET_INFO = 3 << 30 | _INFO_BYTES << 16 | 0xFF << 8 | 11


@dataclass(frozen=True, slots=True)
class ProcStat:
    """The line of `/proc/PID/stat`, as far as it is used."""

    pid: int
    state: str  # "Z" for one that ended and was not reaped
    parent: int
    group: int
    session: int
    is_fork: bool
    memory: tuple[int, int]  # where its code and stack begin: others after each `exec`; 0 if unreadable
    began_ticks: int  # since the machine's start; pid and this together identify a process
    wait_status: int  # as `os.wait` tells; 0 also while it runs, or if it may not be read


@dataclass(frozen=True, slots=True)
class ProcOwner:
    """The process that a thread belongs to, and its effective user with all groups."""

    pid: int
    uid: int
    groups: frozenset[int]


def stat(pid: int) -> ProcStat | None:
    """The process now; also of a thread, by its native id."""
    text = _read(pid, "stat")
    # The name in brackets is the program's own and may hold any byte.
    fields = text.rpartition(b")")[2].split()
    if len(fields) < 50:
        return None
    return ProcStat(
        pid=pid,
        state=fields[0].decode(),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        is_fork=bool(int(fields[6]) & _FORKED),
        memory=(int(fields[23]), int(fields[25])),
        began_ticks=int(fields[19]),
        wait_status=int(fields[49]),
    )


def owner(pid: int) -> ProcOwner | None:
    """Whose thread or process *pid* is."""
    lines = (line.split() for line in _read(pid, "status").splitlines())
    fields = {line[0]: [int(word) for word in line[1:]] for line in lines if line and line[0] in _OWNER}
    if not {b"Tgid:", b"Uid:", b"Gid:"} <= fields.keys():
        return None
    groups = frozenset((fields[b"Gid:"][1], *fields.get(b"Groups:", ())))
    return ProcOwner(fields[b"Tgid:"][0], fields[b"Uid:"][1], groups)


def command(pid: int) -> tuple[str, ...]:
    """Its command line without secrets, cut if long; empty for a process that ended or is of the kernel."""
    raw = _read(pid, "cmdline", ARGUMENTS * LETTERS)
    words = raw.rstrip(b"\0").split(b"\0") if raw else []
    return redacted_command(word.decode(errors="replace")[:LETTERS] for word in words[:ARGUMENTS])


def name(pid: int) -> str:
    """Its short name, at most 15 letters; "" if it has ended."""
    return _read(pid, "comm").decode(errors="replace").strip()


def executable(pid: int) -> str:
    """The path of the file it runs; "" if that may not be read."""
    return _link(pid, "exe").removesuffix(" (deleted)")


def environ(pid: int) -> dict[str, str] | None:
    """The environment that its program was started with; `None` if that may not be read.

    What the program has changed since is usually not in it.
    """
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    pairs = (item.decode(errors="replace").partition("=") for item in raw.split(b"\0") if item)
    return {name: value for name, _, value in pairs}


def mapped_files(pid: int) -> tuple[str, ...]:
    """The files in its memory, each once; empty if that may not be read, or it has ended."""
    lines = _read(pid, "maps", 1 << 20).decode(errors="replace").splitlines()
    paths = (line.partition("/")[2] for line in lines)
    return tuple(dict.fromkeys(f"/{path}" for path in paths if path))


def descriptors(pid: int, most: int) -> tuple[str, ...]:
    """What its lowest descriptors are."""
    try:
        numbers = sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd"))[:most]  # noqa: PTH208
    except OSError:
        return ()
    return tuple(_link(pid, f"fd/{number}") for number in numbers)


def surroundings(pid: int) -> frozenset[str]:
    """Its working directory, and the pipes, sockets and terminals behind its three standard channels."""
    found = (_link(pid, name) for name in ("cwd", "fd/0", "fd/1", "fd/2"))
    return frozenset(found) - {"", "/", "/dev/null"}


def ancestors(pid: int) -> tuple[int, ...]:
    """The parent of *pid*, its parent, and so on."""
    found: list[int] = []
    while (seen := stat(pid)) is not None and seen.parent and seen.parent not in found:
        pid = seen.parent
        found.append(pid)
    return tuple(found)


def ids() -> set[int]:
    """The processes of this machine, or of its container."""
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208


class LatestId:
    """The number of the latest process or thread of this machine: while it stays, there is no new one."""

    def __init__(self) -> None:
        self._fd = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> int:
        """The latest number; 0 if the system does not tell."""
        try:
            return int(os.pread(self._fd, 200, 0).split()[4])
        except (IndexError, ValueError, OSError):
            return 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class StartClock:
    """Turns the kernel's instant of a process's start into one of the record's clock."""

    def __init__(self) -> None:
        # The two clocks differ by the time that the machine was suspended.
        self._ahead_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()

    def ns(self, ticks: int) -> int:
        """The instant, rounded down to a tick."""
        return ticks * _TICK_NS - self._ahead_ns


def returncode(pidfd: int, pid: int, *, uid: int | None) -> int | None:
    """How the ended process of *pidfd* did so, as `Popen.returncode`; `None` if that is unknown."""
    left = stat(pid)
    if left is not None and left.state == "Z" and os.geteuid() in (0, uid):
        return os.waitstatus_to_exitcode(left.wait_status)
    # Its parent has reaped it already.
    info = bytearray(_INFO_BYTES)
    struct.pack_into("=Q", info, 0, _EXIT_BIT)
    try:
        fcntl.ioctl(pidfd, _GET_INFO, info)
    except OSError:  # an earlier kernel
        return None
    if not struct.unpack_from("=Q", info)[0] & _EXIT_BIT:
        return None
    return os.waitstatus_to_exitcode(struct.unpack_from("=i", info, _EXIT_AT)[0])


def _link(pid: int, name: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/{name}")  # noqa: PTH115
    except OSError:
        return ""


def _read(pid: int, name: str, size: int = 8192) -> bytes:
    try:
        fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts = []
        while part := os.read(fd, size):
            parts.append(part)
            if sum(map(len, parts)) >= size:
                break
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(fd)
