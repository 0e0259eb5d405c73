"""Stands in for how asyncio makes a callback ready and runs it, and logs both: the steps of one loop.

A step is one run of a callback; a task is one callback from each wait to the next. Its handle is asyncio's
own with room for the time at which it became ready, and for the step that made it so. Timers and files need
no room: a timer is ready when it is due, a file when the turn begins. Nothing that is logged refers to a
task, or to anything else of the program's: those would live longer than they do without the probe.

Four functions of asyncio's classes are replaced while the steps of a loop are logged. `call_soon`, by which
nearly every step becomes ready, does the whole work itself, down to the fields of the handle: each call
around or below it would cost another twentieth of the shortest steps.
"""

from __future__ import annotations

from _thread import get_ident
from asyncio import AbstractEventLoop, BaseEventLoop, Handle, Task, TimerHandle
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from time import thread_time_ns
from typing import Any

from ...record.clock import monotonic_ns
from ...record.observation import FILE, THREAD, TIMER
from ..loop.turns import Turns
from .builtin_shim import hide_frame
from .replacement import Replacement

# A step that holds the loop for longer is logged whosesoever it is.
LONG_NS = 100_000
# Of one that is as long as this, the CPU time is asked for: that is a system call.
CPU_ASKED_NS = 5_000_000
# What short steps held the loop together, without a pause between them, is logged from here on.
TOGETHER_NS, PAUSE_NS = 50_000, 100_000
# After so many steps since the log was emptied nothing more is logged. A row takes some 240 bytes of memory.
ROOM = 100_000
WIDTH, LONG_WIDTH = 6, 3
# How a callback becomes ready: as programs and tasks say it, what that calls, and from another thread.
_SOON = ("call_soon", "_call_soon", "call_soon_threadsafe")


@dataclass(slots=True)
class StepBuffers:
    """What was logged and is not written yet; the loop's thread adds to it, the writer's takes away."""

    rows: list[int]
    long_rows: list[int]
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class StepHook:
    """The logging of one loop's steps."""

    log: StepBuffers
    number: Callable[[], int]  # of the step that runs, or ran last: how many there were
    want: Callable[[], None]  # have the running step logged, whatever it does
    go_on: Callable[[], None]  # the log was emptied
    look_at: Callable[[ContextVar[Any]], None]  # OpenTelemetry's variable, once there is one
    stop: Callable[[], None]  # put everything back; from any thread


def log_steps(
    loop: AbstractEventLoop,
    turns: Turns,
    *,
    first: int,
    is_chosen: Callable[[Any], bool] | None,
    number_of: Callable[[Task[Any]], int],
    runner_of: Callable[[Any, Any], int],
    working: dict[int, int],
) -> StepHook:
    """Log the steps of *loop*, which is about to run in this thread.

    Args:
        turns: Of the loop.
        first: How many steps there were in earlier loops.
        is_chosen: Whether what is current in a context is of a trace to be logged; `None`: all are.
        number_of: The number of a task that has none yet.
        runner_of: What stands for a callback, which is a method of the second.
        working: By thread, the work that an executor's threads do, as a waker.
    """
    # Everything that a step touches is a local of this closure.
    watched: Any = loop
    ident, clock = get_ident(), monotonic_ns
    variable: ContextVar[Any] = ContextVar("harness_nothing")
    number = first
    wanted = -1  # the latest step that is logged because of what it did
    look_ns = 0  # until then nothing but a step itself needs to be looked at
    short_ns = short_since_ns = short_until_ns = 0
    log = StepBuffers([], [])
    extend, until = log.rows.extend, first + ROOM
    run = Handle._run
    below_soon, below_make, below_threadsafe = [vars(BaseEventLoop)[name] for name in _SOON]

    class Step(Handle):
        """A handle that knows since when it is ready, and why."""

        __slots__ = ("is_traced", "ready_ns", "waker")
        is_traced: bool
        ready_ns: int
        waker: int
        # asyncio's needs the handle's fields as arguments, and asks the loop for its debug mode.
        __init__ = object.__init__

    # It is shown to people, in the messages of exceptions and of asyncio's debug mode.
    Step.__name__ = Step.__qualname__ = Handle.__name__

    make: Any = Step

    # Each variable of the closure that a function knows costs every call of it: so `call_soon` and `_run`
    # know few, and leave what is rare to others.
    def call_soon(self: Any, callback: Any, *args: Any, context: Any = None) -> Handle:
        nonlocal wanted
        if self is not watched or self._debug or self._closed:
            try:
                handle = below_soon(self, callback, *args, context=context)
            except BaseException as exc:
                hide_frame(exc)
                raise
            # In debug mode a handle keeps the stack on which it was made: without this frame.
            if handle._source_traceback:
                del handle._source_traceback[-1]
            return handle  # type: ignore[no-any-return]
        if context is None:
            context = copy_context()
        step = make()
        step._context = context
        step._loop = self
        step._callback = callback
        step._args = args
        step._cancelled = False
        step._repr = step._source_traceback = None
        step.ready_ns = clock()
        step.waker = number
        try:
            if variable in context and (is_chosen is None or is_chosen(context[variable])):
                step.is_traced, wanted = True, number
            else:
                step.is_traced = False
        except Exception:  # no context of Python's, but something that also has a `run`
            step.is_traced = False
        self._ready.append(step)
        return step  # type: ignore[no-any-return]

    def _call_soon(self: Any, callback: Any, args: Any, context: Any, waker: int = 0) -> Handle:
        """The same, for those who call what is below `call_soon`, and for other threads."""
        nonlocal wanted
        if self is not watched or self._debug:
            handle = below_make(self, callback, args, context)
            if handle._source_traceback:
                del handle._source_traceback[-1]
            return handle  # type: ignore[no-any-return]
        if context is None:
            context = copy_context()
        step = make()
        step._context = context
        step._loop = self
        step._callback = callback
        step._args = args
        step._cancelled = False
        step._repr = step._source_traceback = None
        step.ready_ns = clock()
        step.waker = waker or number
        step.is_traced = is_in_trace(context)
        if step.is_traced:
            wanted = number
        self._ready.append(step)
        return step  # type: ignore[no-any-return]

    def call_soon_threadsafe(self: Any, callback: Any, *args: Any, context: Any = None) -> Handle:
        if self is not watched or self._debug or get_ident() == ident:
            return below_threadsafe(self, callback, *args, context=context)  # type: ignore[no-any-return]
        self._check_closed()
        handle = _call_soon(self, callback, args, context, working.get(get_ident(), THREAD))
        self._write_to_self()
        return handle

    def _run(self: Any) -> None:
        # Named as the original's: a stack is searched for the handle (`tasks.py`).
        nonlocal number
        if self._loop is not watched:
            run(self)
            return
        own = number = number + 1  # another loop may run inside of this step: nobody keeps a program from it
        began_ns = clock()
        run(self)
        ended_ns = clock()
        # Most steps are of a task of a chosen trace, or there would be little to log.
        if ended_ns < look_ns and type(self) is Step and self.is_traced:
            try:
                owner = self._callback.__self__
                if type(owner) is Task:
                    runner = getattr(owner, "_harness_number", 0) or number_of(owner)
                    extend((own, self.ready_ns, began_ns, ended_ns, self.waker, runner))
                    return
            except Exception:
                owner = None  # a function, or a callback of somebody's own making
        look(self, own, began_ns, ended_ns)

    def look(handle: Any, own: int, began_ns: int, ended_ns: int) -> None:
        """Log a step, or not: of whatever kind it is, and however long it took."""
        nonlocal look_ns, short_ns, short_since_ns, short_until_ns
        took_ns = ended_ns - began_ns
        try:
            is_traced = wanted == own or took_ns > LONG_NS
            if type(handle) is Step:
                is_traced = is_traced or handle.is_traced
            if not is_traced and not is_in_trace(handle._context):
                if began_ns - short_until_ns > PAUSE_NS:
                    short_ns, short_since_ns = 0, began_ns
                short_ns += took_ns
                short_until_ns = ended_ns
                look_ns = 0  # what is gathered here is to be logged before the next one
                return
            if short_ns:
                if short_ns > TOGETHER_NS:
                    extend((0, short_since_ns, short_since_ns, short_until_ns, short_ns, 0))
                short_ns = short_until_ns = 0
            if own > until:
                log.dropped += 1
                return
            # What begins after this one and ends before then needs no CPU time asked for.
            look_ns = ended_ns + CPU_ASKED_NS
            ready_ns, waker = (handle.ready_ns, handle.waker) if type(handle) is Step else unmarked(handle)
            callback = handle._callback
            runner = runner_of(callback, getattr(callback, "__self__", None))
            extend((own, ready_ns, began_ns, ended_ns, waker, runner))
            if took_ns >= CPU_ASKED_NS:
                marked_ns, marked_cpu_ns = turns.marked
                log.long_rows.extend((own, thread_time_ns() - marked_cpu_ns, marked_ns))
        except Exception:
            log.dropped += 1  # a callback of somebody's own making

    def is_in_trace(context: Context) -> bool:
        try:
            return variable in context and (is_chosen is None or is_chosen(context[variable]))
        except Exception:  # no context of Python's, but something that also has a `run`
            return False

    def unmarked(handle: Any) -> tuple[int, int]:
        """When it became ready, and why; of a handle that was not made by the above."""
        if isinstance(handle, TimerHandle):
            return int(handle.when() * 1e9), TIMER  # the loop's clock is `time.monotonic`
        if isinstance(getattr(handle._callback, "__self__", None), Task):
            return 0, 0  # made before, or in debug mode
        return int(turns.running_since_s() * 1e9), FILE

    def want() -> None:
        nonlocal wanted
        wanted = number

    def go_on() -> None:
        nonlocal until
        until = number + ROOM

    def look_at(traced: ContextVar[Any]) -> None:
        nonlocal variable
        variable = traced

    def stop() -> None:
        nonlocal watched
        watched = None
        for replacement in replacements:
            replacement.undo()

    # A loop that has its own way below `call_soon` is called as ever.
    is_stock = type(loop)._call_soon is below_make  # type: ignore[attr-defined]
    ours = {"_call_soon": _call_soon, "call_soon_threadsafe": call_soon_threadsafe}
    ours |= {"call_soon": call_soon} if is_stock else {}
    replacements = [Replacement(BaseEventLoop, name, function) for name, function in ours.items()]
    replacements.append(Replacement(Handle, "_run", _run))
    return StepHook(log, lambda: number, want, go_on, look_at, stop)
