"""The probe of a process that runs loops: the record's writer, the watched loops, and the features."""

from __future__ import annotations

import os
import sys
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable
from importlib import import_module
from types import CoroutineType, FrameType
from typing import TYPE_CHECKING, Any

from ..record.clock import monotonic_ns
from ..record.observation import PartLeftOut, ProbeClosed, ProbeFailed
from ..record.probe_config import ProbeConfig
from ..record.run import RunFolder
from ..record.writer import Writer
from .feature import Feature
from .hooks import hook
from .hooks.process.process_hook import at_exit
from .loop.loops import Loops
from .tasks.census import Census
from .tasks.losses import TaskLosses
from .tasks.shutdown import ShutdownWatch

if TYPE_CHECKING:
    from ..record.event import Event
    from .calls.interception import Interception

    Handler = Callable[[dict[str, Any]], dict[str, Any] | None]

# An error that repeats at every turn must not fill the record.
ERRORS_RECORDED = 20
# The package that holds `probe` and `record`: the harness itself, or its private name inside a target.
ROOT = (__package__ or "").rpartition(".")[0]


class ProbeSession:
    """Opened when the first loop runs, closed when the process exits normally.

    Raises:
        OSError, ValueError: The record cannot be opened.
    """

    def __init__(self, text: str, interception: Interception | None) -> None:
        self.config = ProbeConfig.parse(text)
        self.interception = interception
        self.folder = RunFolder(self.config.folder)
        self.spans_dropped = 0
        # Requests of the runner and the console, by name; features add theirs.
        self.handlers: dict[str, Handler] = {}
        self._errors = 0
        # Only the features that override these calls, as there may be many thousands of calls per second.
        self._event_takers: list[Feature] = []
        self._span_followers: list[Feature] = []
        self._writer = Writer(self.folder.events, "target")
        self.loops = Loops(
            self.folder,
            limit_ns=self.config.limit_ns,
            write=self.write,
            announce=self.announce,
            on_error=self.failed,
            application=self.config.application,
        )
        self._losses = TaskLosses(self.write)
        self._shutdown = ShutdownWatch(
            write=self.write, is_running=lambda: bool(self.loops.running()), on_error=self.failed
        )
        census = Census(write=self.write, on_swallowed=self._losses.swallowed, on_error=self.failed)
        self._features: list[Feature] = [self._losses, self._shutdown, census]
        # Only the features of this configuration are imported: each import delays the target's start.
        for name, module in self.config.features.items():
            self._guarded(name, self._open, name, module)
        self._stay_open = at_exit(self.close)
        hook.listen(self)

    def write(self, event: Event) -> bool:
        """Put an event into the record; false when it was dropped."""
        self._each(self._event_takers, lambda feature: feature.take(event))
        return self._writer.write(event)

    def announce(self, event: Event) -> bool:
        """Put an event into the record, and into its file at once."""
        self._each(self._event_takers, lambda feature: feature.take(event))
        return self._writer.write_now(event)

    def failed(self, where: str, error: BaseException) -> None:
        """Record an exception in a part of the probe."""
        self.hook_failed(where, f"{type(error).__name__}: {error}".removesuffix(": "))

    def hook_failed(self, where: str, error: str) -> None:
        """Record an error in a part of the probe."""
        self._errors += 1
        if self._errors <= ERRORS_RECORDED:
            self.write(ProbeFailed(monotonic_ns(), where, error, os.getpid()))

    def left_out(self, part: str, reason: str) -> None:
        """Record that a part of the probe cannot work in this process."""
        self.write(PartLeftOut(monotonic_ns(), os.getpid(), part, reason))

    def dropped(self) -> dict[str, int]:
        """The numbers of events and spans that did not reach the record."""
        return {"events": self._writer.dropped, "spans": self.spans_dropped}

    def loop_changed(self, loop: AbstractEventLoop | None) -> None:
        """Called when *loop* begins to run in this thread; with `None` when the running one has stopped."""
        if loop is not None:
            self._each(self._features, lambda feature: feature.loop_begins(loop))
            # After everything that takes time: from here on the time counts as the program's.
            self._guarded("loops", self.loops.changed, loop)
            if (running := self.loops.here()) is not None:
                number, turns = running
                self._each(self._features, lambda feature: feature.turns_begin(turns, number))
            return
        if (running := self.loops.here()) is not None:
            _, turns = running
            self._each(reversed(self._features), lambda feature: feature.turns_end(turns))
        self._guarded("loops", self.loops.changed, None)
        # After the timing has ended: the last census would look like a long turn.
        self._each(reversed(self._features), lambda feature: feature.loop_stopped())

    def span_began(self, span: Any) -> None:
        """Called when an OpenTelemetry span begins."""
        self._each(self._span_followers, lambda feature: feature.span_began(span))

    def span_ended(self, span: Any) -> None:
        """Called when an OpenTelemetry span ends."""
        self._each(reversed(self._span_followers), lambda feature: feature.span_ended(span))

    def exception_reported(self, context: dict[str, Any]) -> None:
        """Called when asyncio reports *context* to a loop's exception handler."""
        self._guarded("tasks", self._losses.reported, context)

    def unawaited(self, coroutine: CoroutineType[Any, Any, Any]) -> None:
        """Called when Python warns that *coroutine* was never awaited."""
        self._guarded("tasks", self._losses.unawaited, coroutine)

    def shutdown_requested(self, number: int, frame: FrameType | None) -> None:
        """Called before a handler of the program runs for this signal, which interrupted *frame*."""
        self._guarded("ending", self._shutdown.signalled, number, frame)

    def leave(self) -> None:
        """Write all that `close` would: the process is about to end without its exit handlers, or to `exec`.

        It may go on after all, because an `exec` can fail; then everything works as before.
        """
        self._guarded("loops", self.loops.about_to_end)
        self._each(reversed(self._features), lambda feature: feature.leave())
        self._guarded("cost", self._write_cost)
        self._writer.leave()

    def close(self) -> None:
        """Close the features, record what the probe has cost, and close the record."""
        # The latest first, because its replacements may be on top of those of earlier ones.
        self._each(reversed(self._features), lambda feature: feature.close())
        self._guarded("loops", self.loops.close)
        self._guarded("cost", self._write_cost)
        self._writer.close()

    def abandon(self) -> None:
        """Release what is the parent's, in a child after `fork`."""
        self._stay_open()
        hook.stop_listening(self)
        self._guarded("loops", self.loops.abandon)
        self._each(reversed(self._features), lambda feature: feature.abandon())
        self._writer.abandon()

    def _open(self, name: str, module: str) -> None:
        feature: Feature = import_module(f"{ROOT}.{module}").create(self)
        feature.name = name
        self._features.append(feature)
        kind = type(feature)
        if kind.take is not Feature.take:
            self._event_takers.append(feature)
        if kind.span_began is not Feature.span_began:
            self._span_followers.append(feature)

    def _each(self, features: Iterable[Feature], call: Callable[[Feature], object]) -> None:
        """Make a call to each feature; one that raises is closed, and gets no further calls."""
        for feature in tuple(features):
            if not self._guarded(feature.name, call, feature):
                self._undo(feature)

    def _undo(self, feature: Feature) -> None:
        for features in (self._features, self._event_takers, self._span_followers):
            if feature in features:
                features.remove(feature)
                if features is self._features:
                    self._guarded(feature.name, feature.close)

    def _guarded(self, where: str, step: Callable[..., object], *args: object) -> bool:
        """Call *step*; false if it has raised."""
        try:
            step(*args)
        except BaseException as exc:
            if hook.is_the_programs(exc):
                raise
            self.failed(where, exc)
            return False
        return True

    def _write_cost(self) -> None:
        from . import overhead  # only needed at the end

        costs: dict[str, int] = {}
        for feature in self._features:
            costs.update(feature.cost())
        self.write(
            ProbeClosed(
                at_ns=monotonic_ns(),
                turns=self.loops.turns(),
                turn_cost_ns=overhead.per_turn_ns(),
                threads_cpu_ns=(
                    self.loops.watchdog_cpu_ns()
                    + self._writer.thread_cpu_ns
                    + sum(feature.cpu_ns() for feature in self._features)
                ),
                process_cpu_ns=time.process_time_ns(),
                spans_dropped=self.spans_dropped,
                spans_followed="opentelemetry.sdk.trace" in sys.modules,
                failures=self._errors,
                **costs,
            )
        )
