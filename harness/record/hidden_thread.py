"""A thread that the program does not see: joining all of `threading.enumerate()` does not wait for it.

Like a daemon thread, it ends with the process at the latest. It takes no signal: one that the program has
blocked in its own threads, to wait for it, would end the process by its default action here. The work must
not call `threading.current_thread()`, which would register the thread, and must report its own errors: an
exception that leaves it is dropped, so that it does not reach the program's hooks.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the module behind `signal`
import _thread
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

from .process import collection

# What the kernel sends to the thread itself: a blocked one ends the process without its handler.
_FAULTS = {getattr(_signal, f"SIG{name}", 0) for name in ("SEGV", "BUS", "FPE", "ILL", "TRAP", "SYS")}
# The process and the native id of each thread, by a number of ours; 0 until it runs. A child after `fork`
# inherits the entries, but not the threads. Read before a fork, without a call of a function of this module.
running: dict[int, tuple[int, int]] = {}
# Those that have ended: the kernel still counts a thread for a moment after its last instruction.
ended: deque[tuple[int, int]] = deque(maxlen=32)
_numbers = count()
_STACK_BYTES = 1 << 20  # of address space; memory is what is used of it
_idents: set[tuple[int, int]] = set()  # by the ids of process and thread


@contextmanager
def roomy_stacks() -> Iterator[None]:
    """Let threads that are started here have a stack of their own size.

    A program may have chosen a small one for its own (`threading.stack_size`), on which ours would overflow.
    """
    chosen = _thread.stack_size()
    if not 0 < chosen < _STACK_BYTES:
        yield
        return
    _thread.stack_size(_STACK_BYTES)
    try:
        yield
    finally:
        _thread.stack_size(chosen)


class Background:
    """Runs *work* in a hidden thread, which starts at once."""

    def __init__(
        self, work: Callable[[], object], *, runs_program: bool = False, spares: bool = False
    ) -> None:
        """Start it.

        Args:
            work: What it does.
            runs_program: The work may start threads and processes of the program, which inherit the mask.
            spares: It runs no finalizer of the program: where it waits, it says so; see `collection.py`.
        """
        self._takes_signals, self._spares = runs_program, spares
        self._running = _thread.allocate_lock()
        self._running.acquire()
        self._number = next(_numbers)
        # Not added by the thread, which on a busy machine may start only after a fork that counts it.
        running[self._number] = (os.getpid(), 0)
        # From before its first step on.
        collection.expect(-1 - self._number)
        try:
            with roomy_stacks():
                _thread.start_new_thread(self._run, (work,))
        except BaseException:
            collection.arrived(-1 - self._number)
            del running[self._number]
            raise

    def join(self, *, timeout_s: float = -1) -> bool:
        """Wait for the end of the work, by default without limit; false after *timeout_s* seconds."""
        done = self._running.acquire(timeout=timeout_s)
        if done:
            self._running.release()
        return done

    def _run(self, work: Callable[[], object]) -> None:
        # Python would print what leaves a thread.
        with suppress(BaseException), collection.elsewhere:
            with suppress(BaseException):
                collection.arrived(-1 - self._number)
            here = (os.getpid(), _thread.get_ident())
            _idents.add(here)
            running[self._number] = native = (os.getpid(), _thread.get_native_id())
            try:
                if not self._takes_signals:
                    with suppress(AttributeError, OSError, ValueError):  # the system has no such mask
                        _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals() - _FAULTS)
                with suppress(BaseException):
                    if self._spares:
                        work()
                    else:
                        with collection.possible:
                            work()
            finally:
                _idents.discard(here)
                ended.append(native)
                running.pop(self._number, None)
                self._running.release()


def is_here() -> bool:
    """Whether the calling thread is a hidden one."""
    return (os.getpid(), _thread.get_ident()) in _idents


def alive() -> int:
    """The number of hidden threads of this process."""
    return sum(pid == os.getpid() for pid, _ in tuple(running.values()))
