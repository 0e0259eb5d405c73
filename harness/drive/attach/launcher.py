"""Runs as a text in a process of its own: goes where the target lives, and starts its interpreter there.

``launcher PID USER MNT PID_NS ROOT PROGRAM [ARG...]``: each of the four is 1 where the target has another
one. In another user namespace its owner may do what only root may outside. A process that has entered a pid
namespace is not in it itself, only its children are.
"""

import ctypes
import os
import sys


def _run(pid: str, user: str, mnt: str, pid_ns: str, root: str, command: list[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    top = os.open(f"/proc/{pid}/root", os.O_RDONLY | os.O_DIRECTORY)
    spaces = [name for name, asked in (("user", user), ("pid", pid_ns), ("mnt", mnt)) if asked == "1"]
    # All of them are opened first: afterwards /proc shows other processes.
    opened = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in spaces]
    for name, fd in zip(spaces, opened, strict=True):
        if libc.setns(fd, 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"{name} namespace")
    if mnt == "1" or root == "1":
        os.fchdir(top)
        os.chroot(".")
    os.chdir("/")
    child = os.fork() if pid_ns == "1" else 0
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    try:
        _pid, _user, _mnt, _pid_ns, _root, *_command = sys.argv[1:]
        _run(_pid, _user, _mnt, _pid_ns, _root, _command)
    except OSError as exc:
        sys.stderr.write(f"cannot go where the process lives: {exc}\n")
        sys.exit(77)
