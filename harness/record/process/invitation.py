"""Invitations: how a program that got no environment from the run finds the run's order for the probe.

Only programs of an environment that was prepared by ``harness enable`` look for one. While a run lasts, it
keeps a file ``/tmp/harness-runs-UID/PID-TICKS`` with the text of the order: PID is the run's target, TICKS
its start by `/proc`, so a reused pid invites nobody. A process takes the order if that is its ancestor. The
folder belongs to the user and is closed to others; without a run there is none.

This file is also run by itself, in programs where nothing of the harness can be imported.
"""

from __future__ import annotations

import os
import stat

# Processes have fewer ancestors.
_GENERATIONS = 64


def folder() -> str:
    """Where the invitations of this user are. Not in TMPDIR: a clean environment has none."""
    return f"/tmp/harness-runs-{os.getuid()}"  # noqa: S108


def find() -> str:
    """The order of a run whose target is an ancestor of this process; "" if there is none."""
    place = folder()
    try:
        found = os.lstat(place)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            return ""  # another user's, who may not start a probe in here
        invited = set(os.listdir(place))
        pid = os.getpid()
        for _ in range(_GENERATIONS):
            parent, ticks = _parent_and_ticks(pid)
            if (name := f"{pid}-{ticks}") in invited:
                with open(f"{place}/{name}") as file:
                    return file.read()
            if parent <= 1:
                break
            pid = parent
    except (OSError, ValueError):
        pass
    return ""


def write(pid: int, order: str) -> str:
    """Invite the descendants of process *pid*; the path of the file, to be removed at the end of the run.

    Raises:
        OSError: The file cannot be written, or the folder is another user's.
        ValueError: There is no such process.
    """
    place = folder()
    os.makedirs(place, mode=0o700, exist_ok=True)
    if os.lstat(place).st_uid != os.getuid():
        raise OSError(f"{place} belongs to another user")
    _, ticks = _parent_and_ticks(pid)
    path = f"{place}/{pid}-{ticks}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "w") as file:
        file.write(order)
    return path


def withdraw(path: str) -> None:
    """Remove an invitation, with those whose process is gone, and the folder if it is empty."""
    try:
        os.unlink(path)
        for name in os.listdir(folder()):
            if not is_valid(name):
                os.unlink(f"{folder()}/{name}")
        os.rmdir(folder())
    except OSError:
        pass  # others are in it


def is_valid(name: str) -> bool:
    """Whether the process that an invitation names still lives."""
    pid, _, ticks = name.partition("-")
    try:
        return _parent_and_ticks(int(pid))[1] == ticks
    except (OSError, ValueError):
        return False


def _parent_and_ticks(pid: int) -> tuple[int, str]:
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return int(fields[1]), fields[19].decode()
