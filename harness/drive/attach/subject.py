"""The process that is to be attached to, as it is seen from outside: its Python, its user, its namespaces.

Every reason for which the probe cannot be brought into it is found here before anything is done, as far as
that is possible without asking the process.
"""

from __future__ import annotations

import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path

from ...errors import HarnessError, TargetError, UsageError
from ..process import proc
from ..process.examination import python_of

# `sys.remote_exec` is new in this version.
NEEDED = (3, 14)
_SWITCH = "PYTHON_DISABLE_REMOTE_DEBUG"
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
# From here on Python takes no option of its own.
_ENDS_OPTIONS = ("-c", "-m", "-", "--")


@dataclass(frozen=True, slots=True)
class Subject:
    """A process of a Python that can be entered while it runs."""

    pid: int
    inner_pid: int  # in its own pid namespace
    uid: int
    gid: int
    version: tuple[int, int]
    python: str  # the path of its interpreter, as the process itself sees it
    environ: dict[str, str]
    root_id: tuple[int, int]  # what tells the root of its file system from others
    moved: tuple[str, ...]  # of "root", "mnt", "pid" and "user": where it differs from this process

    @property
    def root(self) -> str:
        """The path under which this process sees the root of that one's file system; "" for its own."""
        return f"/proc/{self.pid}/root" if self.moved else ""

    @classmethod
    def of(cls, pid: int) -> Subject:
        """The process *pid*.

        Raises:
            UsageError: It cannot be entered, for a reason that stays.
            TargetError: This user, or this container, may not look into it.
        """
        owner = proc.owner(pid)
        seen = proc.stat(pid)
        if owner is None or seen is None or seen.state in "ZX":
            raise UsageError(f"{pid}: no such process")
        if owner.pid != pid:
            raise UsageError(f"{pid}: a thread of process {owner.pid}; name the process")
        if os.geteuid() not in (0, owner.uid):
            exc = UsageError(f"{pid}: the process of another user, {_name_of(owner.uid)}")
            exc.add_note("Attach as that user, or as root.")
            raise exc
        executable = proc.executable(pid)
        if not executable:
            raise not_permitted(pid)
        version, embedded = python_of(pid)
        if not version:
            raise UsageError(f"{pid}: not a Python process: it runs {executable}")
        if Path(executable).name.startswith(("pypy", "graalpy")):
            raise without(pid, f"it runs {Path(executable).name}, and only CPython can be entered")
        numbers = _numbers(version)
        if numbers < NEEDED:
            needed = ".".join(map(str, NEEDED))
            raise without(pid, f"its Python is {version}, and entering a running process needs {needed}")
        environ = proc.environ(pid)
        if environ is None:
            raise not_permitted(pid)
        if environ.get(_SWITCH):
            raise disabled(pid, f"{_SWITCH} is set")
        if _switched_off(pid):
            raise disabled(pid, "it was started with -X disable-remote-debug")
        moved = tuple(_moved(pid))
        return cls(
            pid=pid,
            inner_pid=_inner_pid(pid) if "pid" in moved else pid,
            uid=owner.uid,
            gid=_gid(pid),
            version=numbers,
            python=_interpreter(pid, executable, numbers, embedded=embedded),
            environ=environ,
            root_id=_root_id(f"/proc/{pid}/root/."),
            moved=moved,
        )


def without(pid: int, why: str) -> UsageError:
    """The refusal of a process that can be looked at from outside alone."""
    exc = UsageError(f"{pid}: {why}")
    exc.add_note(f"harness attach {pid} --sample 10: records it from outside")
    exc.add_note("harness watch --console -- PROGRAM: starts a program that has a console")
    return exc


def disabled(pid: int, how: str) -> UsageError:
    """The refusal of a process that does not let itself be entered."""
    exc = without(pid, f"its Python does not let itself be entered: {how}")
    exc.add_note("Started without that, it can be attached to.")
    return exc


def not_permitted(pid: int) -> TargetError:
    """The refusal where the kernel does not let this process look into the other."""
    scope = ptrace_scope()
    why = f", kernel.yama.ptrace_scope is {scope}" if scope else ""
    exc = TargetError(f"{pid}: this user may not change the process's memory (ptrace{why})")
    if scope == 3:
        exc.add_note("With 3 nobody may, until the machine starts with another value.")
    else:
        exc.add_note("Run it as root; or, in a container, give this one the capability SYS_PTRACE.")
    return exc


def ptrace_scope() -> int:
    """The kernel's restriction of who may look into a process: 0 for none."""
    try:
        return int(_YAMA.read_text())
    except (OSError, ValueError):
        return 0


def unpermitted_error(exc: HarnessError) -> bool:
    """Whether the error is that of `not_permitted`."""
    return "(ptrace" in str(exc)


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    minor = minor.partition(".")[0]
    # Without a minor version in any name it is found out when its interpreter is asked.
    return int(major), int(minor) if minor.isdecimal() else sys.maxsize


def _switched_off(pid: int) -> bool:
    """Whether `-X disable-remote-debug` is among the options of its interpreter."""
    words = iter(_words(pid)[1:])
    for word in words:
        if word in _ENDS_OPTIONS or not word.startswith("-"):
            return False
        value = next(words, "") if word in ("-X", "-W") else word[2:]
        if word.startswith("-X") and value.replace("_", "-") == "disable-remote-debug":
            return True
        if word.startswith(("-c", "-m")):
            return False
    return False


def _words(pid: int) -> list[str]:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [word.decode(errors="replace") for word in raw.rstrip(b"\0").split(b"\0")]


def _moved(pid: int) -> list[str]:
    """In what the process lives elsewhere than this one."""
    try:
        ours, theirs = Path("/proc/self"), Path(f"/proc/{pid}")
        moved = [
            name
            for name in ("mnt", "pid", "user")
            if (ours / "ns" / name).stat().st_ino != (theirs / "ns" / name).stat().st_ino
        ]
        is_elsewhere = _root_id("/") != _root_id(f"{theirs}/root/.")
    except PermissionError:
        raise not_permitted(pid) from None
    except OSError:
        raise UsageError(f"{pid}: no such process") from None
    return moved + (["root"] if is_elsewhere else [])


def _root_id(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_dev, found.st_ino


def _interpreter(pid: int, executable: str, version: tuple[int, int], *, embedded: bool) -> str:
    """The path of an interpreter of the same kind, as the process sees it."""
    root = Path(f"/proc/{pid}/root")
    if embedded:
        name = f"python{version[0]}.{version[1]}"
        for folder in ("/usr/local/bin", "/usr/bin", "/bin"):
            if (root / folder[1:] / name).exists():
                return f"{folder}/{name}"
        raise without(pid, f"its Python is inside {Path(executable).name}, and there is no {name} beside it")
    top = os.readlink(root)  # noqa: PTH115
    inner = executable.removeprefix(top) if top != "/" else executable
    for path in (inner, executable):
        try:
            if Path(f"{root}{path}").samefile(f"/proc/{pid}/exe"):
                return path
        except OSError:
            continue
    # The file was replaced since, by an upgrade: that one would be another Python.
    raise without(pid, f"its interpreter {executable} is no longer there")


def _inner_pid(pid: int) -> int:
    return int(_status(pid, "NSpid", str(pid))[-1])


def _gid(pid: int) -> int:
    return int(_status(pid, "Gid", "0 0")[1])


def _status(pid: int, key: str, default: str) -> list[str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        lines = []
    found = next((line.partition(":")[2] for line in lines if line.startswith(f"{key}:")), default)
    return found.split()


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
