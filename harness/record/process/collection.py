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
    from queue import SimpleQueue
    from types import TracebackType
    from typing import TypeVar

    T = TypeVar("T")

# No program allocates so many objects that are not freed while a hidden thread works, for milliseconds.
NEVER = 50_000_017

_get, _set = gc.get_threshold, gc.set_threshold


class _Process:
    """What is kept about this process. Each change is one step of the interpreter, so it needs no lock."""

    def __init__(self) -> None:
        self.is_spared = False
        # Of each hidden thread, by ident: a bit for each block that it is in, the innermost last, set where
        # it works; before them, a one. As a number, because a list would itself be an allocation.
        self.blocks: dict[int, int] = {}
        self.working: set[int] = set()  # those whose last bit is set
        self.threshold: tuple[int, ...] | None = None  # as the program has it


_process = _Process()


def spare() -> None:
    """Keep collections out of the hidden threads that are started from now on."""
    _process.is_spared = True


def take_back() -> None:
    """Let the program collect as it has set it, as in a child after `fork`, which has no hidden thread."""
    _process.blocks.clear()
    _process.working.clear()
    _restore()


def of_program(threshold: tuple[int, ...]) -> tuple[int, ...]:
    """What the program has set, where *threshold* is what holds now."""
    own = _process.threshold
    return own if own is not None and threshold[0] == NEVER else threshold


def expect(number: int) -> None:
    """A hidden thread is about to start; *number* is negative, and `arrived` is told it again."""
    if _process.is_spared:
        _enter(number, works=True)


def arrived(number: int) -> None:
    """That thread is at its first step, or could not be started."""
    _leave(number)


def _enter(ident: int, *, works: bool) -> None:
    _process.blocks[ident] = _process.blocks.get(ident, 1) << 1 | works
    _apply(ident, works=works)


def _leave(ident: int) -> None:
    blocks = _process.blocks.get(ident, 1) >> 1
    if blocks > 1:
        _process.blocks[ident] = blocks
        _apply(ident, works=bool(blocks & 1))
    elif _process.blocks.pop(ident, 0):
        _apply(ident, works=False)


def _apply(ident: int, *, works: bool) -> None:
    if works:
        _process.working.add(ident)
        if (threshold := _get())[0] not in (NEVER, 0):
            _process.threshold = threshold
            _set(NEVER, *threshold[1:])
        return
    _process.working.discard(ident)
    if not _process.working:
        _restore()


def _restore() -> None:
    # Unless the program has set another one meanwhile.
    if (threshold := _process.threshold) is not None and _get()[0] == NEVER:
        _set(*threshold)


class _Block:
    """A ``with`` block of a hidden thread, in which it works or waits; waiting means nothing to any other."""

    def __init__(self, *, works: bool) -> None:
        self._works = works

    def __enter__(self) -> None:
        try:
            ident = get_ident()
            if _process.is_spared if self._works else ident in _process.blocks:
                _enter(ident, works=self._works)
        except BaseException:
            if not self._caught():
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            _leave(get_ident())
        except BaseException:
            if not self._caught():
                raise

    def _caught(self) -> bool:
        """Spare nothing any more after an error, which must not end the work of a hidden thread."""
        if not self._works and get_ident() not in _process.blocks:
            return False  # what a signal's handler has raised, on a thread of the program
        _process.is_spared = False
        take_back()
        return True


# Where a hidden thread works, and inside of that, where it waits and the program may collect.
elsewhere, possible = _Block(works=True), _Block(works=False)


def sleep(seconds: float) -> None:
    """Sleep; the program may collect meanwhile."""
    with possible:
        time.sleep(seconds)


def next_of(queue: SimpleQueue[T]) -> T:
    """Wait for the next item of *queue*, likewise; its `get` is a single call in C."""
    with possible:
        return queue.get()
