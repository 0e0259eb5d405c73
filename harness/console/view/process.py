"""The process with the probe inside, as commands see it (the `Target` of `target.py`)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ...probe import code_paths
from ...probe.loop.loops import Loops
from ...probe.threads.stack import stack_of
from ...record import page
from ...record.clock import monotonic_ns
from ...record.run import RunFolder
from ..protocol.errors import CommandError
from ..threads import ConsoleThreads
from .blame import Territory
from .recent_events import RecentEvents
from .target import Holding, LoopView
from .temporary_changes import TemporaryChanges

if TYPE_CHECKING:
    from ...probe.loop.turns import Turns
    from ...record.event import Event

T = TypeVar("T")
Handler = Callable[[dict[str, Any]], dict[str, Any] | None]


class ProcessView:
    """What there is of this process, for as long as its console is open."""

    def __init__(
        self,
        *,
        folder: RunFolder | None,
        loops: Loops,
        recent: RecentEvents,
        crew: ConsoleThreads,
        allowed: frozenset[str],
        write: Callable[[Event], bool],
        dropped: Callable[[], Mapping[str, int]],
        handlers: Mapping[str, Handler],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        self.folder = folder
        self.recent = recent
        self.allowed = allowed
        self.limits = TemporaryChanges(on_error)
        self.closing = threading.Event()
        self._loops = loops
        self._crew = crew
        self._write = write
        self._dropped = dropped
        self._handlers = handlers
        self.territory = Territory(code_paths.application(loops.application), code_paths.libraries())

    def close(self) -> None:
        """The console ends: undo what is in force, and let go of what runs beside."""
        self.closing.set()
        self.limits.close()

    def dropped(self) -> Mapping[str, int]:
        """How much of what could not be kept."""
        return {**self._dropped(), "spans in flight": self.recent.spans_unseen}

    def loops(self) -> list[LoopView]:
        """The loops that run now, each with a reading of its counters."""
        return [view for number, turns in self._loops.running() if (view := _view(number, turns))]

    def holding(self, view: LoopView) -> Holding | None:
        """What holds the loop up now; `None` while it is on time."""
        turns = next((turns for _, turns in self._loops.running() if turns.loop is view.loop), None)
        if turns is None:
            return None
        turn_ns, due_ns = turns.state()
        since_ns = turn_ns or due_ns
        if not since_ns or monotonic_ns() - since_ns < turns.look_after_ns:
            return None
        frame = self.territory.blamed(stack_of(sys._current_frames().get(view.thread_ident)))
        if frame is None:
            return None
        return Holding(since_ns, self.territory.short(frame.file), frame.line, frame.function)

    def on_loop(self, view: LoopView, step: Callable[[], T], *, within_s: float = 1.0) -> T:
        """Run *step* on the loop's own thread, between two of its callbacks."""
        errand = _LoopCall(step)
        try:
            view.loop.call_soon_threadsafe(errand.run)
        except RuntimeError:
            raise CommandError("the loop has closed") from None
        # Once it has begun it is waited for: it may not be done twice, nor be left unsaid.
        if not errand.over.wait(within_s) and errand.claim():
            holding = self.holding(view)
            raise CommandError(
                f"the loop did not come to it within {within_s:g} s: "
                + (f"{holding} has held it for {_since_s(holding):.1f} s" if holding else "it is busy")
            )
        errand.over.wait()
        if errand.error is not None:
            raise errand.error
        result: T = errand.result
        return result

    def write(self, event: Event) -> bool:
        """Put an event into the record."""
        return self._write(event)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the runner can ask of the probe as well."""
        handler = self._handlers.get(request["do"])
        if handler is None:
            raise CommandError(f"this process cannot be asked to {request['do']}")
        try:
            return handler(request) or {}
        except Exception as exc:
            raise CommandError(f"{type(exc).__name__}: {exc}") from exc

    def ignore(self, thread: threading.Thread) -> None:
        """A loop that runs in *thread* is the console's own, not the program's."""
        self._loops.ignore(thread)

    def run_beside(self, work: Callable[[], object]) -> None:
        """Run *work* in a thread of the console's own, which outlives the client."""
        self._crew.start(work)

    def wait_closed(self, *, within_s: float) -> bool:
        """Wait for at most so long; true as soon as the console closes."""
        return self.closing.wait(within_s)


class _LoopCall:
    """A step that a loop is asked to do: once, or not at all."""

    def __init__(self, step: Callable[[], Any]) -> None:
        self._step = step
        self._unclaimed = threading.Lock()
        self.over = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def claim(self) -> bool:
        """Whether it has not begun; then it never will."""
        return self._unclaimed.acquire(blocking=False)

    def run(self) -> None:
        """Do it, on the loop's thread, which must not see what it raises."""
        if self.claim():
            try:
                self.result = self._step()
            except BaseException as exc:
                self.error = exc
            self.over.set()


def _view(number: int, turns: Turns) -> LoopView | None:
    loop = turns.loop
    if loop is None:
        return None
    turns.write_page()
    # A copy: what the watchdog and the loop write there, from one moment to the next, is for others as well.
    words = memoryview(bytearray(turns.words)).cast("q")
    words[page.TURN], words[page.DUE] = turns.state()
    return LoopView(number, loop, turns.thread_ident, turns.native_thread_id, words, turns)


def _since_s(holding: Holding) -> float:
    return (monotonic_ns() - holding.since_ns) / 1e9
