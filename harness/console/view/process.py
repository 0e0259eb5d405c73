"""The interface of this process for commands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import RecordError
from ...probe import code_paths
from ...probe.hooks.state.thread_state import current_frames
from ...probe.loop.loops import Loops
from ...probe.threads.stack import stack_of
from ...record.clock import monotonic_ns
from ...record.run import own_run, read_manifest
from ...record.run_folder import RunFolder
from ...stacks.ownership import CodeOwnership
from ...stacks.turn_stack import TurnStack
from ..protocol.errors import CommandError
from ..threads import ConsoleThreads
from .loop_history import LoopHistory
from .loop_view import BlockingFrame, LoopView
from .recent_events import RecentEvents
from .temporary_changes import TemporaryChanges

if TYPE_CHECKING:
    from ...read.judge.live import LiveJudgement
    from ...record.event import Event
    from ...record.page import Page
    from ...record.run import Run

T = TypeVar("T")
# Between two looks, and two judgements, that clients have asked for.
LOOK_EVERY_NS = 1_000_000_000
Handler = Callable[[dict[str, Any]], dict[str, Any] | None]


class ProcessView:
    """This process while its console is open. Any method may be called from any thread, at any time."""

    def __init__(
        self,
        *,
        folder: RunFolder | None,
        loops: Loops,
        recent: RecentEvents,
        threads: ConsoleThreads,
        allowed: frozenset[str],
        write: Callable[[Event], bool],
        dropped: Callable[[], Mapping[str, int]],
        handlers: Mapping[str, Handler],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        self.folder = folder
        self.recent = recent
        self.allowed = allowed  # those of `PERMISSIONS` that this console has
        self.changes = TemporaryChanges(on_error)  # in force for a limited time, of all clients
        self.closing = threading.Event()
        self.history = LoopHistory()
        self.limit_ns = loops.limit_ns  # a turn longer than this is a block
        self.ownership = CodeOwnership(code_paths.application(loops.application), code_paths.libraries())
        self.write = write  # an event into the record
        self.start_thread = threads.start  # for work that outlives the client; its CPU time is counted
        self.ignore = loops.ignore  # a thread whose loops are the console's own, not the program's
        self._loops = loops
        self._dropped = dropped
        self._handlers = handlers
        self.run = _run(folder, loops)
        self.judged: tuple[int, LiveJudgement | None] = (0, None)  # when, and what was found then

    def close(self) -> None:
        """Undo the changes that are in force, and end what runs in the console's threads."""
        self.closing.set()
        self.changes.close()

    def wait_closed(self, *, within_s: float) -> bool:
        """Wait for at most *within_s*; true as soon as the console closes. For the console's threads."""
        return self.closing.wait(within_s)

    def dropped(self) -> Mapping[str, int]:
        """The number of items that could not be kept, by kind: ``{"events": 0, "spans": 3}``."""
        return {**self._dropped(), "spans in flight": self.recent.spans_dropped}

    def loops(self) -> list[LoopView]:
        """The loops that run now, each with a reading of its counters."""
        return [view for number, turns in self._loops.running() if (view := LoopView.of(number, turns))]

    def pages(self) -> dict[int, Page]:
        """The counters of all loops so far, by number."""
        return self._loops.pages()

    def look(self) -> None:
        """Let the detectors look now, so that what they find is of this moment."""
        if "look" in self._handlers:
            self.control({"do": "look"})

    def blocking_frame(self, view: LoopView) -> BlockingFrame | None:
        """The frame that blocks the loop now; `None` while the loop is on time."""
        turns = next((turns for _, turns in self._loops.running() if turns.loop is view.loop), None)
        if turns is None:
            return None
        turn_ns, due_ns = turns.state()
        since_ns = turn_ns or due_ns
        if not since_ns or monotonic_ns() - since_ns < turns.look_after_ns:
            return None
        frame = TurnStack(stack_of(current_frames().get(view.thread_ident)), self.ownership).blamed
        if frame is None:
            return None
        return BlockingFrame(since_ns, self.ownership.short(frame.file), frame.line, frame.function)

    def on_loop(self, view: LoopView, step: Callable[[], T], *, within_s: float = 1.0) -> T:
        """Run *step* on the loop's own thread, between two of its callbacks. Its exceptions are raised here.

        Raises:
            CommandError: The loop did not run it in time; the message names the frame that blocks the loop.
                *step* will not run later either.
        """
        call = _LoopCall(step)
        try:
            view.loop.call_soon_threadsafe(call.run)
        except RuntimeError:
            raise CommandError("the loop has closed") from None
        # Once it has begun, wait for its end: it must not run twice, and its outcome must be reported.
        if not call.done.wait(within_s) and call.claim():
            frame = self.blocking_frame(view)
            held_s = (monotonic_ns() - frame.since_ns) / 1e9 if frame else 0.0
            why = f"{frame} has held it for {held_s:.1f} s" if frame else "it is busy"
            raise CommandError(f"the loop did not run it within {within_s:g} s: {why}")
        call.done.wait()
        if call.error is not None:
            raise call.error
        return call.result  # type: ignore[no-any-return]

    def control(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send the probe a request, as the runner does: ``{"do": "inject", ...}``, ``{"do": "heal", ...}``.

        Raises:
            CommandError: This process has no such handler, or the handler refused.
        """
        if (handler := self._handlers.get(request["do"])) is None:
            raise CommandError(f"this process cannot be asked to {request['do']}")
        try:
            return handler(request) or {}
        except Exception as exc:
            raise CommandError(f"{type(exc).__name__}: {exc}") from exc


def _run(folder: RunFolder | None, loops: Loops) -> Run:
    """The manifest of the run; one of this process where there is none, or the program may not read it."""
    try:
        if folder is not None:
            return read_manifest(folder)
    except (OSError, RecordError):
        pass
    began_ns = min([monotonic_ns(), *(page.started_ns for page in loops.pages().values())])
    return own_run("console", started_ns=began_ns, block_limit_ns=loops.limit_ns)


class _LoopCall:
    """A function that a loop runs once, or never."""

    def __init__(self, step: Callable[[], Any]) -> None:
        self._step = step
        self._unclaimed = threading.Lock()
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def claim(self) -> bool:
        """Take the right to run the call, or to prevent it; true for the first taker only."""
        return self._unclaimed.acquire(blocking=False)

    def run(self) -> None:
        """Run it on the loop's thread; the loop must not see its exceptions."""
        if self.claim():
            try:
                self.result = self._step()
            except BaseException as exc:
                self.error = exc
            self.done.set()
