"""Lets the client of a console look into this process from outside, where only its parent may.

Under ``kernel.yama.ptrace_scope = 1`` a process may be looked into by its ancestors alone, and by one that it
names itself. Who attaches is mostly no ancestor, and needs the look just when the process no longer answers.
So the process names each client that it has admitted, for as long as that one is connected: it is of the same
user and authenticated. The kernel keeps one name at a time, which covers what that one starts (py-spy).
Naming any process at all, or the whole session, would undo what the setting protects from.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
# Only its ancestors, and whom it names.
_RESTRICTED = "1"
_SET_PTRACER = 0x59616D61  # "Yama"


class InspectionRight:
    """Whom this process has named: the latest of the clients that are connected."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: list[int] = []

    def grant(self, pid: int) -> None:
        """Let the client *pid* look into this process; 0 stands for one of another container."""
        if pid > 0 and _is_restricted():
            with self._lock:
                self._clients.append(pid)
                self._name()

    def withdraw(self, pid: int) -> None:
        """Undo one `grant`."""
        with self._lock:
            if pid in self._clients:
                self._clients.remove(pid)
                self._name()

    def _name(self) -> None:
        import ctypes  # only where it is needed

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_SET_PTRACER, ctypes.c_ulong(self._clients[-1] if self._clients else 0))


def _is_restricted() -> bool:
    try:
        return _SCOPE.read_text().strip() == _RESTRICTED
    except OSError:
        return False  # this kernel has no such restriction
