"""Watches the loops of a program that was started without the probe, between two calls."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextlib import suppress

from ...record.run import RunFolder
from ..hooks import hook, loop_hook
from ..hooks.process.fork_hook import in_forked_child
from ..hooks.state import loop_state
from .loops import Loops, OnError, Write


class LoopWatch:
    """Watches the loops that run in this thread and in others, and those that begin to run until `end`."""

    def __init__(
        self,
        folder: RunFolder | None,
        *,
        limit_ns: int,
        write: Write,
        on_error: OnError,
        on_running: Callable[[AbstractEventLoop], object] | None = None,
    ) -> None:
        """*folder* is for the pages of counters; *on_running* is called first, on each loop's thread."""
        self.loops = Loops(folder, limit_ns=limit_ns, write=write, on_error=on_error)
        self._on_error = on_error
        self._on_running = on_running

    def begin(self) -> None:
        """Begin to watch."""
        _open.add(self)
        hook.listen(self)
        loop_hook.subscribe(self._changed)
        self._changed(loop_state.running_loop())
        for loop in loop_hook.loops_in_other_threads():
            with suppress(RuntimeError):  # the loop has closed
                # Watching a loop must begin on its own thread.
                loop.call_soon_threadsafe(self._changed, loop)

    def end(self) -> bool:
        """Stop watching; false in a child forked since `begin`, where the fork ended the watch."""
        if self not in _open:
            return False
        _open.remove(self)
        hook.stop_listening(self)
        loop_hook.unsubscribe(self._changed)
        self.loops.leave()
        return True

    def hook_failed(self, where: str, error: str) -> None:
        """Pass on that a part of the probe has raised."""
        self._on_error(where, RuntimeError(error))

    def left_out(self, part: str, reason: str) -> None:
        """Pass on that a part of the probe cannot work here."""
        self._on_error(part, RuntimeError(reason))

    def abandon(self) -> None:
        """Release what is the parent's, in a child after `fork`."""
        hook.stop_listening(self)
        loop_hook.unsubscribe(self._changed)
        self.loops.abandon()

    def _changed(self, loop: AbstractEventLoop | None) -> None:
        try:
            if loop is not None and self._on_running is not None:
                self._on_running(loop)
            self.loops.changed(loop)
        except BaseException as exc:
            if hook.is_the_programs(exc):
                raise
            self._on_error("loops", exc)


_open: set[LoopWatch] = set()


def _abandon_all() -> None:
    while _open:
        _open.pop().abandon()


in_forked_child(_abandon_all)
