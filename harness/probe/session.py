"""The probe of a process that runs loops: the record's writer, the watched loops, and the features."""

from __future__ import annotations

import os
import sys
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from time import thread_time_ns
from types import CoroutineType, FrameType
from typing import TYPE_CHECKING, Any

from ..record import run_folder
from ..record.clock import monotonic_ns
from ..record.hidden_thread import Background
from ..record.observation import HungProcessEnded, PartLeftOut, ProbeClosed, ProbeFailed
from ..record.probe_config import ProbeConfig
from ..record.process import collection
from ..record.run_folder import RunFolder
from ..record.writer import NoWriter, Writer
from .detectors import Detectors
from .feature import Feature
from .hang.limits import HangLimits
from .hooks import hook
from .hooks.process.process_hook import at_exit
from .loop.loops import Loops
from .tasks.shutdown import ShutdownWatch

if TYPE_CHECKING:
    from ..record.event import Event
    from .calls.interception import Interception
    from .tracing.hand_over import HandOvers

    Handler = Callable[[dict[str, Any]], dict[str, Any] | None]

# An error that repeats at every turn must not fill the record.
ERRORS_RECORDED = 20
# How long what is left may be recorded before a process that hangs is ended.
LEAVE_WITHIN_S = 3.0
# The package that holds `probe` and `record`: the harness itself, or its private name inside a target.
ROOT = (__package__ or "").rpartition(".")[0]


class ProbeSession:
    """Opened when the first loop runs, closed when the process exits normally.

    Raises:
        OSError, ValueError: The record cannot be opened.
    """

    def __init__(self, text: str, interception: Interception | None) -> None:
        collection.spare()  # before there is any thread
        self.config = ProbeConfig.parse(text)
        folder = self.config.folder
        self.interception = interception
        self.spans_dropped = 0
        # The errors of features that could not be opened; what is added later has not heard of them.
        self.opening_errors: list[ProbeFailed] = []
        self._is_open = False
        # Requests of the runner and the console, by name; features add theirs.
        self.handlers: dict[str, Handler] = {}
        self._errors = 0
        self._tell: Callable[[str, BaseException], object] = self.failed
        self._beside_ns = 0
        self._has_left = False
        self._ending = threading.Lock()  # taken once, by whoever ends the process
        # Only the features that override these calls, as there may be many thousands of calls per second.
        self._event_takers: list[Feature] = []
        self._span_followers: list[Feature] = []
        self._hand_overs: HandOvers | None = None
        self._follows_hand_overs = False
        self._writer = (
            NoWriter() if self.config.unrecorded else Writer(f"{folder}/{run_folder.EVENTS}", "target")
        )
        self.loops = Loops(
            f"{folder}/{run_folder.LOOPS}",
            limit_ns=self.config.limit_ns,
            write=self.write,
            announce=self.announce,
            on_error=self.failed,
            application=self.config.application,
            hang=HangLimits(round(self.config.hang_ms * 1e6), round(self.config.hang_exit_s * 1e9)),
            end_process=self.end_hung,
        )
        self._shutdown = ShutdownWatch(
            write=self.write,
            write_last=self._writer.write_last,
            later=self._writer.later,
            is_running=lambda: bool(self.loops.running()),
            on_error=self.failed,
        )
        detectors = Detectors(
            write=self.write, running=self.loops.running, on_error=self.failed, clock=self.loops.clock
        )
        self._losses = detectors.losses
        self._features: list[Feature] = [self._shutdown, *detectors.features]
        self.handlers["look"] = lambda _: detectors.look()
        # Only the features of this configuration are imported: each import delays the target's start.
        for name, module in self.config.features.items():
            self._guarded(name, self._open, name, module)
        self._stay_open = at_exit(self.close)
        self._is_open = True
        hook.listen(self)

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        from pathlib import Path  # for the features that ask

        return RunFolder(Path(self.config.folder))

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
            event = ProbeFailed(monotonic_ns(), where, error, os.getpid())
            if not self._is_open:
                self.opening_errors.append(event)
            self.write(event)

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

    def spend(self, cpu_ns: int) -> None:
        """Count CPU time of the program's own threads, beside what turns cost."""
        self._beside_ns += cpu_ns

    def span_began(self, span: Any) -> None:
        """Called when an OpenTelemetry span begins."""
        self._each(self._span_followers, lambda feature: feature.span_began(span))

    def span_ended(self, span: Any) -> None:
        """Called when an OpenTelemetry span ends."""
        self._each(reversed(self._span_followers), lambda feature: feature.span_ended(span))

    def follow_hand_overs(self) -> None:
        """Called when the program has set up OpenTelemetry's SDK."""
        if not self._follows_hand_overs:
            self._follows_hand_overs = True
            self._guarded("hand-overs", self._open_hand_overs)

    def _open_hand_overs(self) -> None:
        from .tracing.hand_over import HandOvers  # only where there are spans

        self._hand_overs = HandOvers(self.write)
        self.add(self._hand_overs)

    def root_span_began(self, span: Any) -> None:
        """Called when an OpenTelemetry span begins that has no parent, though it may have been meant to."""
        self.follow_hand_overs()  # the SDK may have been set up before a fork
        hand_overs = self._hand_overs
        if hand_overs is not None and not self._guarded("hand-overs", hand_overs.root_began, span):
            self._hand_overs = None
            self._undo(hand_overs)

    def exception_reported(self, context: dict[str, Any]) -> None:
        """Called when asyncio reports *context* to a loop's exception handler."""
        self._guarded("tasks", self._losses.reported, context)

    def unawaited(self, coroutine: CoroutineType[Any, Any, Any]) -> None:
        """Called when Python warns that *coroutine* was never awaited."""
        self._guarded("tasks", self._losses.unawaited, coroutine)

    def shutdown_requested(self, number: int, frame: FrameType | None) -> Callable[[], object] | None:
        """Called before a handler of the program runs for this signal, which interrupted *frame*.

        Returns what is to be called after the handler.
        """
        if not self._guarded("ending", self._shutdown.signalled, number):
            return None
        return lambda: self._guarded("ending", self._shutdown.handled, frame)

    def leave(self) -> None:
        """Write all that `close` would: the process is about to end without its exit handlers, or to `exec`.

        It may go on after all, because an `exec` can fail; then everything works as before.
        """
        if self._has_left:
            return
        began_ns = thread_time_ns()
        # No collection begins here: of a large heap it takes longer than all of this.
        with collection.elsewhere:
            self._guarded("loops", self.loops.about_to_end)
            self._each(reversed(self._features), lambda feature: feature.leave())
            self._guarded("cost", self._write_cost, began_ns)
            self._writer.leave()

    def end_hung(self, state: HungProcessEnded) -> None:
        """End the process, whose loop hangs, after *state* and all else has been recorded."""
        if not self._ending.acquire(blocking=False):
            return  # the watchdog and a request of the runner may come at the same time
        try:
            self.announce(state)
            # In another thread: what the loop's thread holds may keep a part of the probe from leaving.
            with suppress(RuntimeError):  # there can be no more threads
                Background(self.leave).join(timeout_s=LEAVE_WITHIN_S)
        finally:
            self._has_left = True
            os.abort()

    def close(self) -> None:
        """Close the features, record what the probe has cost, and close the record."""
        began_ns = thread_time_ns()
        # The latest first, because its replacements may be on top of those of earlier ones.
        self._each(reversed(self._features), lambda feature: feature.close())
        self._guarded("loops", self.loops.close)
        self._guarded("cost", self._write_cost, began_ns)
        self._writer.close()

    def withdraw(self) -> None:
        """Do what `close` does and take everything back, in a process that goes on; on any thread."""
        began_ns = thread_time_ns()
        self._stay_open()
        hook.stop_listening(self)
        self._each(reversed(self._features), lambda feature: feature.close())
        # The turns that are late now are written; those that are not have nothing to tell.
        self._guarded("loops", self.loops.about_to_end)
        self._guarded("loops", self.loops.leave)
        self._guarded("loops", self.loops.close)
        self._guarded("cost", self._write_cost, began_ns)
        self._writer.close()

    def add(self, feature: Feature) -> None:
        """Let *feature* take part from now on, besides those of the configuration."""
        self._features.append(feature)
        kind = type(feature)
        if kind.take is not Feature.take:
            self._event_takers.append(feature)
        if kind.span_began is not Feature.span_began:
            self._span_followers.append(feature)

    def abandon(self) -> None:
        """Release what is the parent's, in a child after `fork`."""
        self._stay_open()
        hook.stop_listening(self)
        self._tell = hook.failed  # for the child's own record, as this one is the parent's
        self._guarded("loops", self.loops.abandon)
        for feature in reversed(self._features):
            # One that raises is not closed: what `close` ends goes on in the parent.
            self._guarded(feature.name, feature.abandon)
        self._writer.abandon()

    def _open(self, name: str, module: str) -> None:
        feature: Feature = import_module(f"{ROOT}.{module}").create(self)
        feature.name = name
        self.add(feature)

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
            self._tell(where, exc)
            return False
        return True

    def _write_cost(self, began_ns: int) -> None:
        """Write it, with what it has cost since *began_ns* of this thread's CPU time to come to an end."""
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
                losses_dropped=self._losses.dropped,
                spans_followed="opentelemetry.sdk.trace" in sys.modules,
                failures=self._errors,
                beside_ns=self._beside_ns + thread_time_ns() - began_ns,
                **costs,
            )
        )
