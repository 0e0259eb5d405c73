"""What the probe holds in a process that runs loops: the record's writer, the watch, and what was asked."""

from __future__ import annotations

import atexit
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from pathlib import Path
from types import CoroutineType, FrameType
from typing import TYPE_CHECKING, Any

from ..record.clock import monotonic_ns
from ..record.observation import ProbeClosed, ProbeFailed
from ..record.probe_config import ProbeConfig
from ..record.run import RunFolder
from ..record.writer import Writer
from .loop.loops import Loops
from .tasks.census import Census
from .tasks.coroutine_origins import CoroutineOrigins
from .tasks.losses import TaskLosses
from .tasks.shutdown import ShutdownWatch
from .threads import other_threads

if TYPE_CHECKING:
    from ..console.server.console import Console
    from ..record.event import Event
    from .calls.counts import CallCounts
    from .calls.interception import Interception
    from .control.faults import FaultInjector
    from .control.server import ControlServer
    from .sampling.cprofile import CProfile
    from .sampling.sampler import Sampler
    from .tracing.step_log import StepLogger

# An error that repeats at every turn must not fill the record.
ERRORS_TOLD = 20


class ProbeSession:
    """Opened when the first loop runs, closed when the process ends in good order.

    Raises:
        OSError, ValueError: The record cannot be opened.
    """

    def __init__(self, text: str, interception: Interception | None) -> None:
        order = ProbeConfig.parse(text)
        folder = RunFolder(order.folder)
        self._errors = 0
        self._writer = Writer(folder.events, "target")
        self._loops = Loops(
            folder,
            limit_ns=order.limit_ns,
            write=self.write,
            announce=self.announce,
            on_error=self.failed,
            application=order.application,
        )
        self._lost = TaskLosses(self.write)
        self._census = Census(
            write=self.write,
            on_swallowed=self._lost.swallowed,
            on_error=self.failed,
        )
        self._ending = ShutdownWatch(
            write=self.write,
            is_running=lambda: bool(self._loops.running()),
            on_error=self.failed,
        )
        self._origins = CoroutineOrigins() if order.origins else None
        self._faults: FaultInjector | None = None
        self._control: ControlServer | None = None
        self._console: Console | None = None
        self._calls: CallCounts | None = None
        self.sampler: Sampler | None = None
        self._call_times: CProfile | None = None
        self._waits: StepLogger | None = None
        self._on_loop: list[Callable[[AbstractEventLoop], None]] = []
        self.span_hooks: list[tuple[Callable[[Any], None], Callable[[Any], None]]] = []
        self.spans_dropped = 0
        self._guarded("calls", self._count_calls, interception, order)
        self._guarded("control", self._open_control, order)
        self._guarded("console", self._open_console, order, folder)
        self._guarded("sampler", self._prepare_sampler, order)
        self._guarded("profile", self._prepare_profile, order, folder)
        self._guarded("cprofile", self._prepare_call_times, order, folder)
        self._guarded("waits", self._prepare_waits, order)
        atexit.register(self.close)

    def write(self, event: Event) -> bool:
        """Put an event into the record; false when it was dropped."""
        if self._console is not None:
            self._console.recent.take(event)
        return self._writer.write(event)

    def announce(self, event: Event) -> bool:
        """Put it into the record, and into the file at once."""
        if self._console is not None:
            self._console.recent.take(event)
        return self._writer.write_now(event)

    def failed(self, where: str, error: BaseException) -> None:
        """Something in the probe raised: say so in the record, and go on."""
        self._errors += 1
        if self._errors <= ERRORS_TOLD:
            self.write(ProbeFailed(monotonic_ns(), where, f"{type(error).__name__}: {error}"))

    def running(self, loop: AbstractEventLoop | None) -> None:
        """*loop* begins to run in this thread, or `None`: the one that ran has stopped."""
        if loop is None:
            self._guarded("sampler", self._sample, False)
            self._guarded("waits", self._log_waits, None)
            self._guarded("loops", self._loops.changed, None)
        self._guarded("census", self._census.changed, loop)
        if self._origins is not None:
            self._guarded("origins", self._origins.changed, loop)
        if loop is not None:
            for step in self._on_loop:
                self._guarded("start of a loop", step, loop)
            # Last: from here on the time is the program's.
            self._guarded("loops", self._loops.changed, loop)
        if self._calls is not None:
            self._calls.changed(is_watched=self._loops.watch_here())
        if loop is not None:
            self._guarded("sampler", self._sample, True)
            self._guarded("waits", self._log_waits, loop)
        if self._call_times is not None:
            self._guarded("cprofile", self._call_times.changed, loop)

    def reported(self, context: dict[str, Any]) -> None:
        """asyncio told a loop's exception handler of this."""
        self._guarded("tasks", self._lost.reported, context)

    def unawaited(self, coroutine: CoroutineType[Any, Any, Any]) -> None:
        """Python warns of this coroutine."""
        self._guarded("tasks", self._lost.unawaited, coroutine)

    def asked_to_end(self, number: int, frame: FrameType | None) -> None:
        """A handler of the program is about to be called for this signal, where *frame* stands."""
        self._guarded("ending", self._ending.asked, number, frame)

    def leave(self) -> None:
        """The process ends without further notice, or becomes another."""
        self._guarded("ending", self._ending.leave)
        self.flush()

    def flush(self) -> None:
        """Bring what is known to the disk."""
        self._guarded("flush", self._loops.write_pages)
        self._guarded("census", self._census.take)
        self._guarded("tasks", self._lost.flush)
        if self.sampler is not None:
            self._guarded("sampler", self.sampler.close)
        if self._waits is not None:
            self._guarded("waits", self._waits.tell)
        if self._calls is not None:
            self._guarded("calls", self._calls.tell)
        self._writer.flush(timeout_s=0.2)

    def close(self) -> None:
        """The process ends: undo the faults, say what the probe did cost, and close the record."""
        if self._console is not None:
            self._guarded("console", self._console.close)
        if self._faults is not None:
            self._guarded("faults", self._faults.heal_all)
        if self._calls is not None:
            self._guarded("calls", self._calls.close)
        if self.sampler is not None:
            self._guarded("sampler", self.sampler.close)
        if self._call_times is not None:
            self._guarded("cprofile", self._call_times.close)
        if self._waits is not None:
            self._guarded("waits", self._waits.close)
        self._guarded("census", self._census.close)
        self._guarded("tasks", self._lost.flush)
        self._guarded("loops", self._loops.close)
        self._guarded("cost", self._tell_cost)
        if self._control is not None:
            self._control.close()
        self._writer.close()

    def is_single_threaded(self) -> bool:
        """Whether the process would have one thread without the probe's."""
        return other_threads.total() - other_threads.own() == 1

    def abandon(self) -> None:
        """In a child after `fork`: what is open here is the parent's."""
        atexit.unregister(self.close)
        self._guarded("loops", self._loops.abandon)
        if self._console is not None:
            self._guarded("console", self._console.abandon)
        if self._faults is not None:
            self._guarded("faults", self._faults.heal_all)
        if self._calls is not None:
            self._calls.abandon()
        if self.sampler is not None:
            self._guarded("sampler", self.sampler.abandon)
        if self._waits is not None:
            self._guarded("waits", self._waits.abandon)
        self._writer.abandon()

    def _tell_cost(self) -> None:
        from . import overhead  # here, for the same reason as below

        self.write(
            ProbeClosed(
                at_ns=monotonic_ns(),
                turns=self._loops.turns(),
                turn_cost_ns=overhead.per_turn_ns(),
                threads_cpu_ns=(
                    self._loops.watchdog_cpu_ns()
                    + self._census.cpu_ns
                    + self._ending.cpu_ns
                    + self._writer.thread_cpu_ns
                    + (self._console.cpu_ns() if self._console is not None else 0)
                    + (self._waits.thread_cpu_ns if self._waits is not None else 0)
                ),
                process_cpu_ns=time.process_time_ns(),
                spans_dropped=self.spans_dropped,
                calls_ns=self._calls.cost_ns if self._calls is not None else 0,
                sampler_ns=self.sampler.counted().cost_ns if self.sampler is not None else 0,
                steps_ns=int(self._waits.taken * overhead.per_step_ns()) if self._waits is not None else 0,
            )
        )

    # What a run does not ask for is not imported either: each of these is time at the target's start.

    def _count_calls(self, interception: Interception | None, order: ProbeConfig) -> None:
        if interception is not None:
            from .calls.callsite import CallSite
            from .calls.counts import CallCounts

            sites = CallSite(order.application)
            self._calls = CallCounts(interception, self.write, self.failed, sites)

    def _open_control(self, order: ProbeConfig) -> None:
        if order.control:
            from .control.server import ControlServer

            faults = self._any_faults()
            handlers = {"inject": faults.inject, "heal": faults.heal}
            self._control = ControlServer(Path(order.control), handlers)

    def _any_faults(self) -> FaultInjector:
        if self._faults is None:
            from .control.faults import FaultInjector

            self._faults = FaultInjector(self.write)
        return self._faults

    def _open_console(self, order: ProbeConfig, folder: RunFolder) -> None:
        if order.console is not None:
            from ..console.server.console import Console

            self._console = Console(
                loops=self._loops,
                folder=folder,
                pages=folder.loops,
                allow=order.console.allow,
                port=order.console.port,
                write=self.write,
                dropped=lambda: {"events": self._writer.dropped, "spans": self.spans_dropped},
                handlers={
                    "inject": lambda request: self._any_faults().inject(request),
                    "heal": lambda request: self._any_faults().heal(request),
                    "faults": lambda request: self._any_faults().in_force(request),
                },
                on_error=self.failed,
            )
            self._on_loop.append(self._console.running)
            self.span_hooks.append((self._console.recent.span_began, self._console.recent.span_ended))

    def _prepare_sampler(self, order: ProbeConfig) -> None:
        if order.sample_hz:
            from .sampling.sampler import Sampler

            self.sampler = Sampler(order.sample_hz, self.write, self.failed)

    def _sample(self, is_running: bool) -> None:
        turns = self._loops.turns_here()
        if self.sampler is not None and turns is not None:
            (self.sampler.begin if is_running else self.sampler.end)(turns)

    def _prepare_profile(self, order: ProbeConfig, folder: RunFolder) -> None:
        if order.profile_span:
            from .sampling.span_profile import SpanProfile

            profile = SpanProfile(order, folder, self.write, self.failed)
            self.span_hooks.append((profile.on_start, profile.on_end))

    def _prepare_call_times(self, order: ProbeConfig, folder: RunFolder) -> None:
        if order.cprofile:
            from .sampling.cprofile import CProfile

            self._call_times = CProfile(folder, self.write)

    def _prepare_waits(self, order: ProbeConfig) -> None:
        if order.waits:
            from .tracing.step_log import StepLogger

            self._waits = StepLogger(order.waits, order.waits_for_s, self.write, self.failed)
            self.span_hooks.append((self._waits.span_began, lambda _: None))

    def _log_waits(self, loop: AbstractEventLoop | None) -> None:
        if self._waits is None:
            return
        if loop is None:
            self._waits.end()
            return
        for number, turns in self._loops.running():
            if turns.loop is loop:
                self._waits.begin(loop, turns, number)

    def _guarded(self, where: str, step: Callable[..., object], *args: object) -> None:
        try:
            step(*args)
        except Exception as exc:
            self.failed(where, exc)
