"""Imports parts of the probe when they are first needed, on whatever thread that is, and not at its start.

A fork in the middle of an import would leave the import's locks to the child, whose importing thread is gone.
So these imports are made one at a time, and a fork waits for the end of one on another thread. No thread of
the program waits for long: the import may itself wait for one that the program has begun.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import RLock
from time import thread_time_ns
from typing import TYPE_CHECKING

from ....record import hidden_thread
from .fork_hook import around_forks

if TYPE_CHECKING:
    from ...pace import Pace

# The modules of `probe` that are imported late, each with those that it imports itself.
MODULES = (
    *(
        "gauges.buffers",
        "gauges.children",
        "gauges.large_collections",
        "gauges.wakeups",
        "overhead",
        "spinning.look",
        "spinning.sight",
    ),
    *("tasks.death", "tasks.standstill", "threads.backlog", "threads.pool_list"),
)
# A process that has lived for so long imports the rest: what is needed only after days would find its file
# replaced by that of another version, or gone.
ALL_AFTER_NS = 500_000_000
# Longer than all of them take on a machine that is busy, and shorter than a block that anybody would notice.
WAIT_S = 0.5

_PROBE = (__package__ or "").removesuffix(".hooks.process")


class LateImportError(Exception):
    """A part of the probe cannot be imported now."""


class _Imports:
    """The late imports of this process."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.knows_forks = self.is_torn = False
        self._held: list[bool] = []  # for each fork under way, whether it holds the lock

    def watch_forks(self) -> None:
        if not self.knows_forks:
            self.knows_forks = True
            around_forks(self._before, self._in_parent, self._in_child)

    def _before(self) -> None:
        # First without waiting, which would run handlers of signals here.
        self._held.append(self.lock.acquire(blocking=False) or self.lock.acquire(timeout=WAIT_S))

    def _in_parent(self) -> None:
        if self._held and self._held.pop():
            self.lock.release()

    def _in_child(self) -> None:
        if self._held and self._held.pop():
            self.lock.release()
        else:
            # Modules whose import nobody will end: asking for one would wait for ever.
            self.lock, self.is_torn = RLock(), True
        self._held.clear()


_imports = _Imports()


@contextmanager
def importing(pace: Pace | None = None) -> Iterator[None]:
    """A ``with`` block for imports, whose cost does not count as that of looks at this *pace*.

    Raises:
        LateImportError: Nothing can be imported, since the process was forked in the middle of an import, or
            since another thread does not come to the end of one.
    """
    _imports.watch_forks()
    lock, began_ns = _imports.lock, thread_time_ns()
    if not lock.acquire(timeout=-1 if hidden_thread.is_here() else WAIT_S):
        raise LateImportError("another import of the probe does not end")
    try:
        if _imports.is_torn:
            raise LateImportError("the process was forked in the middle of an import of the probe")
        yield
    finally:
        lock.release()
        if pace is not None:
            pace.spend(began_ns - thread_time_ns())


def import_all() -> None:
    """Import all that is imported late.

    Raises:
        LateImportError: As `importing`.
    """
    with importing():
        for name in MODULES:
            import_module(f"{_PROBE}.{name}")


def are_compiled() -> bool:
    """Whether these modules are compiled already; compiling one beside a busy loop would slow that down."""
    cached = getattr(__spec__, "cached", None)
    if cached is None:  # they come from a file of compiled ones
        return True
    folder, has_own_folder, ending = cached.partition("/hooks/process/__pycache__/late_import.")
    if not has_own_folder:
        return False
    # The files of a target's modules have no place in their names; see `entry/sitecustomize.py`.
    folder = f"{sys.modules[_PROBE.rpartition('.')[0]].__path__[0]}/{folder.rpartition('/')[2]}"
    return all(os.path.exists(f"{folder}/{_compiled(name)}.{ending}") for name in MODULES)  # noqa: PTH110


def _compiled(name: str) -> str:
    *folders, own = name.split(".")
    return "/".join([*folders, "__pycache__", own])
