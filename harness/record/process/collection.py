"""Keeps the garbage collector out of hidden threads: the finalizers that it runs belong in the program's own.

Python collects in whichever thread happens to allocate. In a program with a single thread that is always its
own one, and a finalizer may rely on it: one that schedules a callback or starts a task is wrong in any other.
So while a hidden thread works, no number of allocations starts a collection; the program's next allocation
after that does. The collector is not disabled for that, since the program may do so at the same time.
"""

from __future__ import annotations

import gc
import time
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

# No program allocates so many objects that are not freed while a hidden thread works, for milliseconds.
NEVER = 50_000_017

_get, _set = gc.get_threshold, gc.set_threshold


class _Process:
    """What is kept about this process. Each change is one step of the interpreter, so it needs no lock."""

    def __init__(self) -> None:
        self.is_spared = False
        self.working: set[int] = set()  # hidden threads, by ident
        self.resting: set[int] = set()  # those that wait in the midst of their work
        self.threshold: tuple[int, ...] | None = None  # as the program has it


_process = _Process()


def spare() -> None:
    """Keep collections out of the hidden threads of this process from now on."""
    _process.is_spared = True


def forked() -> None:
    """Take back what the parent's hidden threads have changed: to be called in a child after `fork`."""
    _process.working.clear()
    _process.resting.clear()
    _restore()


def _begin() -> None:
    if _process.is_spared:
        _process.working.add(get_ident())
        if (threshold := _get())[0] not in (NEVER, 0):
            _process.threshold = threshold
            _set(NEVER, *threshold[1:])


def _end() -> None:
    _process.working.discard(get_ident())
    if not _process.working:
        _restore()


def _restore() -> None:
    # Unless the program has set another one meanwhile.
    if (threshold := _process.threshold) is not None and _get()[0] == NEVER:
        _set(*threshold)


class _Elsewhere:
    """A ``with`` block in which a hidden thread works."""

    def __enter__(self) -> None:
        _begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        _end()


class _Possible:
    """A ``with`` block inside of that, in which the thread waits; on any other thread it does nothing."""

    def __enter__(self) -> None:
        if (ident := get_ident()) in _process.working:
            _process.resting.add(ident)
            _end()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if (ident := get_ident()) in _process.resting:
            _process.resting.discard(ident)
            _begin()


elsewhere, possible = _Elsewhere(), _Possible()


def sleep(seconds: float) -> None:
    """Sleep; the program may collect meanwhile."""
    with possible:
        time.sleep(seconds)
