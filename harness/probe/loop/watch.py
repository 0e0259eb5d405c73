"""Watches the loops of a program that was started without the probe, between two calls."""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import CoroutineType
from typing import Any
from weakref import WeakSet

from ...record.clock import monotonic_ns
from ...record.observation import PartLeftOut, ProbeFailed
from ...record.run_folder import RunFolder
from ..detectors import PARTS, Detectors
from ..feature import Feature
from ..hang import limits
from ..hang.limits import HangLimits
from ..hang.teller import EndProcess
from ..hooks import hook, loop_hook
from ..hooks.process import late_import
from ..hooks.process.fork_hook import in_forked_child
from ..hooks.state import loop_state
from ..tasks.loss_hooks import LossHooks
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
        hang: HangLimits = limits.DEFAULT,
        end_process: EndProcess = lambda _: None,
        feed: Feature | None = None,
        detects: bool = True,
        only_new: bool = False,
        more_ns: int = 0,
    ) -> None:
        """*folder* is for the pages of counters; *on_running* is called first, on each loop's thread.

        *hang* and *end_process* are as for `Loops`. *feed* is told of each loop that begins and stops.
        Without *detects*, only the turns are watched; *only_new* and *more_ns* are as for `Detectors`.
        """
        # A watch may be short, and what it needs is compiled before it begins.
        late_import.import_all()
        self.loops = Loops(
            str(folder.loops) if folder is not None else None,
            limit_ns=limit_ns,
            write=write,
            on_error=self._failed,
            hang=hang,
            end_process=end_process,
        )
        self._pid = os.getpid()
        self._write = write
        self._on_error = on_error
        self._on_running = on_running
        self._detects = detects
        self._only_new, self._more_ns = only_new, more_ns
        self._seen: WeakSet[AbstractEventLoop] = WeakSet()  # loops that ran during the watch
        self._detectors: Detectors | None = None
        self._loss_hooks: LossHooks | None = None
        self._features: list[Feature] = [feed] if feed is not None else []

    def begin(self) -> None:
        """Begin to watch."""
        _open.add(self)
        hook.listen(self)
        if self._detects:
            self._detectors = Detectors(
                write=self._write,
                running=self.loops.running,
                on_error=self._failed,
                clock=self.loops.clock,
                only_new=self._only_new,
                more_ns=self._more_ns,
            )
            self._features = [*self._detectors.features, *self._features]
            self._loss_hooks = LossHooks(self)
        loop_hook.subscribe(self._changed)
        self._changed(loop_state.running_loop())
        for loop in loop_hook.loops_in_other_threads():
            with suppress(RuntimeError):  # the loop has closed
                # Watching a loop must begin on its own thread.
                loop.call_soon_threadsafe(self._changed, loop)

    def look(self) -> None:
        """Look now for what is otherwise looked for from time to time; on any thread."""
        if self._detectors is not None:
            self._detectors.look()

    def end(self) -> bool:
        """Stop watching; false in a child forked since `begin`, where the fork ended the watch."""
        if self not in _open:
            return False
        _open.remove(self)
        if self._detectors is not None:
            self._detectors.count()
        loop_hook.unsubscribe(self._changed)
        if self._loss_hooks is not None:
            self._loss_hooks.undo()
        self._each(reversed(self._features), lambda feature: feature.close())
        self.loops.leave()
        if self._detectors is not None:
            self._detectors.join()
        hook.stop_listening(self)
        return True

    def hook_failed(self, where: str, error: str) -> None:
        """Pass on that a part of the probe has raised."""
        if self._detects or where not in PARTS:
            self._failed(where, RuntimeError(error))

    def left_out(self, part: str, reason: str) -> None:
        """Pass on that a part of the probe cannot work here."""
        if self._detects or part not in PARTS:
            self._write(PartLeftOut(monotonic_ns(), self._pid, part, reason))
            self._on_error(part, RuntimeError(reason))

    def exception_reported(self, context: dict[str, Any]) -> None:
        """Called when asyncio reports *context* to a loop's exception handler."""
        worker = context.get("task") or context.get("future")
        if self._detectors is not None and (worker is None or worker.get_loop() in self._seen):
            # Else it was left by a loop before: the collector finds it at any time.
            self._detectors.losses.reported(context)

    def unawaited(self, coroutine: CoroutineType[Any, Any, Any]) -> None:
        """Called when Python warns that *coroutine* was never awaited."""
        if self._detectors is not None:
            self._detectors.losses.unawaited(coroutine)

    def abandon(self) -> None:
        """Release what is the parent's, in a child after `fork`."""
        hook.stop_listening(self)
        loop_hook.unsubscribe(self._changed)
        if self._loss_hooks is not None:
            self._loss_hooks.undo()
        self.loops.abandon()
        self._each(reversed(self._features), lambda feature: feature.abandon())

    def _changed(self, loop: AbstractEventLoop | None) -> None:
        if os.getpid() != self._pid:
            # asyncio is called first after a fork, and tells that no loop runs: that one is the parent's.
            return
        try:
            if loop is None:
                self._stopped()
            else:
                self._begins(loop)
        except BaseException as exc:
            if hook.is_the_programs(exc):
                raise
            self._failed("loops", exc)

    def _begins(self, loop: AbstractEventLoop) -> None:
        if self._on_running is not None:
            self._on_running(loop)
        self._seen.add(loop)
        if self._loss_hooks is not None:
            self._loss_hooks.loop_begins(loop)
        self._each(self._features, lambda feature: feature.loop_begins(loop))
        # After everything that takes time: from here on the time counts as the program's.
        self.loops.changed(loop)
        if (running := self.loops.here()) is not None:
            number, turns = running
            self._each(self._features, lambda feature: feature.turns_begin(turns, number))

    def _stopped(self) -> None:
        if (running := self.loops.here()) is not None:
            _, turns = running
            self._each(reversed(self._features), lambda feature: feature.turns_end(turns))
        self.loops.changed(None)
        # After the timing has ended: the last census would look like a long turn.
        self._each(reversed(self._features), lambda feature: feature.loop_stopped())

    def _each(self, features: Iterable[Feature], call: Callable[[Feature], object]) -> None:
        """Make a call to each feature; one that raises gets no further calls."""
        for feature in tuple(features):
            try:
                call(feature)
            except BaseException as exc:
                if hook.is_the_programs(exc):
                    raise
                self._features.remove(feature)
                self._failed(feature.name, exc)

    def _failed(self, where: str, error: BaseException) -> None:
        text = f"{type(error).__name__}: {error}".removesuffix(": ")
        self._write(ProbeFailed(monotonic_ns(), where, text, self._pid))
        self._on_error(where, error)


_open: set[LoopWatch] = set()


def _abandon_all() -> None:
    while _open:
        _open.pop().abandon()


in_forked_child(_abandon_all)
