"""The loops of a program that was started without the probe, under watch while somebody asks for it."""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable

from ...record.run import RunFolder
from ..hooks import loop_hook, loop_state
from .loops import Loops, OnError, Write


class LoopWatch:
    """The loop that runs in this thread, those that run in others, and all that begin to run meanwhile."""

    def __init__(
        self,
        folder: RunFolder | None,
        *,
        limit_ns: int,
        write: Write,
        on_error: OnError,
        on_running: Callable[[AbstractEventLoop], object] | None = None,
    ) -> None:
        """*folder* takes the pages of counters, if others shall read them. *on_running* is called on the
        thread of each loop."""
        self.loops = Loops(folder, limit_ns=limit_ns, write=write, on_error=on_error)
        self._on_error = on_error
        self._on_running = on_running

    def begin(self) -> None:
        """Watch from now on."""
        _open.add(self)
        loop_hook.subscribe(self._changed)
        self._changed(loop_state.running_loop())
        for loop in loop_hook.loops_in_other_threads():
            try:
                # A loop must be taken under watch in its own thread.
                loop.call_soon_threadsafe(self._changed, loop)
            except RuntimeError:  # it was closed meanwhile
                continue

    def end(self) -> bool:
        """Watch no more; false in a child that was forked meanwhile, where it was over already."""
        if self not in _open:
            return False
        _open.remove(self)
        loop_hook.unsubscribe(self._changed)
        self.loops.leave()
        return True

    def abandon(self) -> None:
        """In a child after `fork`: leave the watching to the parent, whose threads are not here."""
        loop_hook.unsubscribe(self._changed)
        self.loops.abandon()

    def _changed(self, loop: AbstractEventLoop | None) -> None:
        try:
            if loop is not None and self._on_running is not None:
                self._on_running(loop)
            self.loops.changed(loop)
        except Exception as exc:
            self._on_error("loops", exc)


_open: set[LoopWatch] = set()


def _abandon_all() -> None:
    while _open:
        _open.pop().abandon()


os.register_at_fork(after_in_child=_abandon_all)
