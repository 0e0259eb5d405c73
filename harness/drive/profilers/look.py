"""One look at a process from outside, by whatever can read its Python.

From Python 3.15 on that is the standard library's own sampler in the target's interpreter; where this cannot
be started, and for older Pythons, it is py-spy.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from ...record.event import TasksAtPlace, ThreadDump
from ..process import examination
from . import pyspy, tachyon
from .tachyon_standby import TachyonStandby


@dataclass(frozen=True, slots=True)
class OutsideLook:
    """The threads of a process at one moment; none if they could not be read."""

    threads: tuple[ThreadDump, ...]
    by: str  # "profiling.sampling" or "py-spy"


def look(pid: int) -> OutsideLook:
    """Look at the threads of process *pid*, without stopping it.

    Raises:
        PermissionError: Nothing can look into it; the message says why.
    """
    if (examination.version_of(pid) or (0, 0)) >= tachyon.LEAST:
        try:
            return OutsideLook(tachyon.dump(pid), tachyon.NAME)
        except LookupError as exc:
            if pyspy.program() is None:
                raise PermissionError(str(exc)) from exc
    return OutsideLook(pyspy.dump(pid), pyspy.NAME)


class OutsideLooker:
    """Looks at processes again and again; by a sampler that stands by, where one can. Not thread-safe."""

    def __init__(self) -> None:
        self._standby: dict[int, TachyonStandby | None] = {}  # by process
        self._by_interpreter: dict[str, TachyonStandby] = {}

    def prepare(self, pid: int) -> None:
        """Have what will look at process *pid* ready; a second call has no effect."""
        if pid in self._standby:
            return
        self._standby[pid] = None
        with suppress(LookupError, OSError):
            path = tachyon.interpreter(pid)
            if path not in self._by_interpreter:
                self._by_interpreter[path] = tachyon.standby(path)
            self._standby[pid] = self._by_interpreter[path]

    def look(self, pid: int) -> OutsideLook:
        """As the function `look` does."""
        if (standby := self._standby.get(pid)) is not None:
            try:
                return OutsideLook(tachyon.dump(pid, standby), tachyon.NAME)
            except PermissionError:
                raise
            except (OSError, ValueError):  # it has ended
                self._standby[pid] = None
        return look(pid)

    def close(self) -> None:
        """End what stands by."""
        for standby in self._by_interpreter.values():
            standby.close()


def tasks(pid: int) -> tuple[TasksAtPlace, ...] | None:
    """All pending tasks of process *pid*; `None` where nothing can read them from outside."""
    with suppress(LookupError, PermissionError):
        return tachyon.tasks(pid) or None
    return None
