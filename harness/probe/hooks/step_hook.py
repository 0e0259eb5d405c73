"""Logs the steps of one loop: when each callback became ready, what made it ready, and when it ran.

A step is one run of a callback; a task takes one step from each wait to the next. A step's handle is
asyncio's own with two more fields, for the time at which it became ready and for the step that made it ready.
Timers and files need none: a timer is ready when it is due, a file when the turn begins. The log refers to no
task, nor to any other object of the program, which would otherwise live longer than without the probe.

Four functions of asyncio's classes are replaced while the steps of a loop are logged. `call_soon` makes
nearly every step ready. It does all the work itself, down to the fields of the handle: each further call
would add a twentieth to the shortest steps.
"""

from __future__ import annotations

from _thread import get_ident
from asyncio import AbstractEventLoop, BaseEventLoop, Handle, Task, TimerHandle
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from threading import RLock
from time import thread_time_ns
from typing import Any

from ...record.clock import monotonic_ns
from ...record.observation import FILE, THREAD, TIMER
from ..loop.turns import Turns
from .hook import Hook
from .replacement import Replacement
from .runtime import handle_from_threads

# A longer step is logged even if it belongs to no chosen trace.
LONG_NS = 100_000
# From this length on, the CPU time of a step is read, which takes a system call.
CPU_ASKED_NS = 5_000_000
# Short steps that are at most PAUSE_NS apart are logged as one row if they total more than TOGETHER_NS.
TOGETHER_NS, PAUSE_NS = 50_000, 100_000
# Most steps logged between two writes. A row takes some 240 bytes of memory.
ROOM = 100_000
WIDTH, LONG_WIDTH = 6, 3
# What makes a callback ready: called by programs and tasks, by that function, and from other threads.
_SOON = ("call_soon", "_call_soon", "call_soon_threadsafe")


@dataclass(slots=True, eq=False, repr=False)
class StepBuffers:
    """The rows that are not written yet: the loop's thread adds them, the writing thread takes them."""

    rows: list[int]
    long_rows: list[int]
    dropped: int = 0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StepHook:
    """The logging of one loop's steps."""

    log: StepBuffers
    number: Callable[[], int]  # of the running step, or of the last one: steps are counted from 1
    keep: Callable[[], None]  # log the running step, whatever its trace and length
    resume: Callable[[], None]  # call it when rows were taken from the log
    use_variable: Callable[[ContextVar[Any]], None]  # set OpenTelemetry's variable, once there is one
    stop: Callable[[], None]  # undo all replacements; from any thread


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
        first: The number of steps in earlier loops.
        is_chosen: Whether OpenTelemetry's values in a context are of a trace to be logged; `None`: all are.
        number_of: Numbers a task that has no number yet.
        runner_of: The number in the log for a callback, whose `__self__` is the second argument.
        working: The work of executors' threads, by thread ident, as a waker.
    """
    # Everything that a step uses is a local of this closure.
    watched: Any = loop
    ident, clock = get_ident(), monotonic_ns
    hook = Hook("steps")
    caught = hook.caught
    variable: ContextVar[Any] = ContextVar("harness_nothing")
    number = first
    kept = -1  # the latest step that is logged because of what it did
    plain_until_ns = 0  # until this time a step of a chosen trace needs no further checks
    short_ns = short_since_ns = short_until_ns = 0
    log = StepBuffers([], [])
    extend, until = log.rows.extend, first + ROOM
    run = Handle._run
    below_soon, below_make, below_threadsafe = [vars(BaseEventLoop)[name] for name in _SOON]

    class Step(Handle):
        """A handle that stores when it became ready, and which step made it ready."""

        __slots__ = ("is_traced", "ready_ns", "waker")
        is_traced: bool
        ready_ns: int
        waker: int
        # asyncio's own takes the fields as arguments and reads the loop's debug mode, which is slower.
        __init__ = object.__init__

    # The name appears in the messages of exceptions and of asyncio's debug mode.
    Step.__name__ = Step.__qualname__ = Handle.__name__

    make: Any = Step
    make_safe: Any = None
    marked: tuple[Any, ...] = (Step,)
    safe: Any = handle_from_threads()
    if safe is not None:

        class SafeStep(safe):  # type: ignore[misc]
            """The same for what other threads call: one with a lock of its own, as its class has it."""

            __slots__ = ("is_traced", "ready_ns", "waker")
            __init__ = object.__init__

        SafeStep.__name__ = SafeStep.__qualname__ = safe.__name__
        make_safe, marked = SafeStep, (Step, SafeStep)

    # Each closure variable that a function uses adds to the cost of every call, so `call_soon` and `_run` use
    # few, and leave rare cases to other functions.
    def call_soon(self: Any, callback: Any, *args: Any, context: Any = None) -> Handle:
        nonlocal kept
        if self is not watched or self._debug or self._closed:
            return below_call_soon(self, callback, args, context)
        try:
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
            # Another object with a `run` may stand for the context.
            if type(context) is Context and variable in context:
                if is_chosen is None or is_chosen(context[variable]):
                    step.is_traced, kept = True, number
                else:
                    step.is_traced = False
            else:
                step.is_traced = False
            self._ready.append(step)
            return step  # type: ignore[no-any-return]
        except BaseException as exc:
            if not caught(exc):
                raise
        return below_call_soon(self, callback, args, context)

    def below_call_soon(loop: Any, callback: Any, args: Any, context: Any) -> Handle:
        """What `call_soon` does without the hook."""
        try:
            handle: Any = below_soon(loop, callback, *args, context=context)
        except BaseException as exc:
            exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
            exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next
            raise
        # In debug mode a handle keeps the stack on which it was created: remove these frames from it.
        if handle._source_traceback:
            del handle._source_traceback[-2:]
        return handle  # type: ignore[no-any-return]

    def _call_soon(
        self: Any, callback: Any, args: Any, context: Any, waker: int = 0, make: Any = make
    ) -> Handle:
        """Like `call_soon`, for callers of `_call_soon` itself and for other threads."""
        nonlocal kept
        try:
            if self is watched and not self._debug:
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
                    kept = number
                self._ready.append(step)
                return step  # type: ignore[no-any-return]
        except BaseException as exc:
            if not caught(exc):
                raise
        handle = below_make(self, callback, args, context)
        if handle._source_traceback:
            del handle._source_traceback[-1]
        return handle  # type: ignore[no-any-return]

    def call_soon_threadsafe(self: Any, callback: Any, *args: Any, context: Any = None) -> Handle:
        waker, make_one = 0, make
        try:
            if self is watched and not self._debug:
                if (here := get_ident()) != ident:
                    waker = working.get(here, THREAD)
                elif make_safe is not None:  # its handles are not made by `_call_soon`
                    waker = number
                if make_safe is not None:
                    make_one = with_lock
        except BaseException as exc:
            if not caught(exc):
                raise
        try:
            if not waker:
                return below_threadsafe(self, callback, *args, context=context)  # type: ignore[no-any-return]
            self._check_closed()
            handle = _call_soon(self, callback, args, context, waker, make_one)
            self._write_to_self()
            return handle
        except BaseException as exc:
            exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
            raise

    def _run(self: Any) -> None:
        # The parameter has the original's name: `tasks/identity.py` reads it from the stack.
        nonlocal number
        own = began_ns = 0
        try:
            if self._loop is watched:
                own = number = number + 1  # another loop may run inside this step
                began_ns = clock()
        except BaseException as exc:
            if not caught(exc):
                raise
        # Outside of any handler: what the callback raises must not have the probe's error as its context.
        try:
            run(self)
        except BaseException as exc:  # only what ends the loop
            exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
            raise
        try:
            if not began_ns:
                return
            ended_ns = clock()
            # Most steps are of a task of a chosen trace, or there would be little to log.
            if ended_ns < plain_until_ns and type(self) is Step and self.is_traced:
                owner = getattr(self._callback, "__self__", None)
                if type(owner) is Task:
                    runner = getattr(owner, "_harness_number", 0) or number_of(owner)
                    extend((own, self.ready_ns, began_ns, ended_ns, self.waker, runner))
                    return
            log_step(self, own, began_ns, ended_ns)
        except BaseException as exc:
            if not caught(exc):
                raise

    def with_lock() -> Any:
        step = make_safe()
        step._lock = RLock()
        return step

    def log_step(handle: Any, own: int, began_ns: int, ended_ns: int) -> None:
        """Decide whether to log a step of any kind and length, and log it."""
        nonlocal plain_until_ns, short_ns, short_since_ns, short_until_ns
        took_ns = ended_ns - began_ns
        is_traced = kept == own or took_ns > LONG_NS
        if type(handle) in marked:
            is_traced = is_traced or handle.is_traced
        if not is_traced and not is_in_trace(handle._context):
            if began_ns - short_until_ns > PAUSE_NS:
                short_ns, short_since_ns = 0, began_ns
            short_ns += took_ns
            short_until_ns = ended_ns
            plain_until_ns = 0  # the sum must be logged before the next step
            return
        if short_ns:
            if short_ns > TOGETHER_NS:
                extend((0, short_since_ns, short_since_ns, short_until_ns, short_ns, 0))
            short_ns = short_until_ns = 0
        if own > until:
            log.dropped += 1
            return
        # A step that begins after this one and ends before then is too short to read its CPU time.
        plain_until_ns = ended_ns + CPU_ASKED_NS
        ready_ns, waker = (handle.ready_ns, handle.waker) if type(handle) in marked else unmarked(handle)
        callback = handle._callback
        try:
            runner = runner_of(callback, getattr(callback, "__self__", None))
        except Exception:  # a callable of the program's own class
            log.dropped += 1
            return
        extend((own, ready_ns, began_ns, ended_ns, waker, runner))
        if took_ns >= CPU_ASKED_NS:
            marked_ns, marked_cpu_ns = turns.marked
            log.long_rows.extend((own, thread_time_ns() - marked_cpu_ns, marked_ns))

    def is_in_trace(context: Any) -> bool:
        # Another object with a `run` may stand for the context.
        if type(context) is not Context or variable not in context:
            return False
        return is_chosen is None or is_chosen(context[variable])

    def unmarked(handle: Any) -> tuple[int, int]:
        """When a handle that is no `Step` became ready, and what made it ready."""
        if isinstance(handle, TimerHandle):
            # The loop's clock is `time.monotonic`. It was due; but its time may be minus infinity.
            return int(max(0.0, handle.when()) * 1e9), TIMER
        if isinstance(getattr(handle._callback, "__self__", None), Task):
            return 0, 0  # created before, or in debug mode
        return int(turns.running_since_s() * 1e9), FILE

    def keep() -> None:
        nonlocal kept
        kept = number

    def resume() -> None:
        nonlocal until
        until = number + ROOM

    def use_variable(traced: ContextVar[Any]) -> None:
        nonlocal variable
        variable = traced

    def forget_loop() -> None:
        nonlocal watched
        watched = None

    # A loop class with a `_call_soon` of its own keeps its `call_soon`.
    is_stock = type(loop)._call_soon is below_make  # type: ignore[attr-defined]
    ours = {"_call_soon": _call_soon, "call_soon_threadsafe": call_soon_threadsafe}
    ours |= {"call_soon": call_soon} if is_stock else {}
    if hook.is_on:
        for name, function in ours.items():
            Replacement(hook, BaseEventLoop, name, function)
        Replacement(hook, Handle, "_run", _run)
    hook.when_undone(forget_loop)
    return StepHook(log, lambda: number, keep, resume, use_variable, hook.undo)
