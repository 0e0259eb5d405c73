"""Times the steps of tasks while it is on: how long each held its loop, and how long it was ready before.

asyncio runs every step by `Handle._run` and makes it ready by `_call_soon`, even for tasks in C.
These two are replaced for all loops at once. uvloop calls neither.
"""

from __future__ import annotations

from asyncio import BaseEventLoop, Handle, Task
from collections.abc import Callable
from typing import Any

from ...record.clock import monotonic_ns
from .hook import Hook, leave_out
from .replacement import Replacement
from .runtime import handle_from_threads, why_no_step_timer

# Most time stamps kept: cancelled callbacks leave theirs behind.
STAMPS = 100_000


class StepTimer:
    """Replaces the two functions of asyncio from `begin` to `end`."""

    def __init__(
        self,
        on_step: Callable[[Task[Any], int, int, int, bool], object],
        on_callback: Callable[[int], object],
    ) -> None:
        """Both are called after a step, in the loop's thread.

        *on_step* gets the task, when its step began, how long the step took, when the task became ready, and
        whether it waits for nothing now; *on_callback* gets how long the callback took. In nanoseconds.
        """
        self.is_on = False
        self.missed = 0  # steps that could not be reported
        self.began: dict[int, int] = {}  # when each unfinished step began, by the `id` of its task
        self.ready: dict[int, int] = {}  # when a callback became ready, by the `id` of its handle
        self._on_step = on_step
        self._on_callback = on_callback
        self._hook: Hook | None = None

    def begin(self) -> None:
        """Time every step from now on."""
        hook = self._hook = Hook("step times")
        hook.when_undone(self._undone)
        leave_out(hook.name, reason := why_no_step_timer())
        if reason or not hook.is_on:
            return
        self.is_on = True
        timed = self._timed(vars(Handle)["_run"], hook.caught)
        stamped = self._stamped(vars(BaseEventLoop)["_call_soon"], hook.caught)
        Replacement(hook, Handle, "_run", timed)
        Replacement(hook, BaseEventLoop, "_call_soon", stamped)
        if (safe := handle_from_threads()) is not None:
            Replacement(hook, safe, "__init__", self._stamped_from_threads(safe.__init__, hook.caught))

    def end(self) -> None:
        """Restore both. If other code has wrapped ours, its function stays; ours only calls the original."""
        if self._hook is not None:
            self._hook.undo()

    def _undone(self) -> None:
        self.is_on = False
        self.began.clear()
        self.ready.clear()

    def trim(self) -> None:
        """Forget the time stamps if there are too many."""
        if len(self.ready) > STAMPS:
            self.ready.clear()

    def _timed(
        self, own: Callable[[Handle], None], caught: Callable[[BaseException], bool]
    ) -> Callable[[Handle], None]:
        # Runs for every callback, so everything it uses is a local of this closure, or one attribute away.
        clock, began, ready, timer = monotonic_ns, self.began, self.ready, self
        on_step, on_callback = self._on_step, self._on_callback

        def _run(self: Handle) -> None:
            # The parameter keeps the original's name: `probe/tasks/identity.py` looks for it on the stack.
            task: Any = None
            began_ns = ready_ns = 0
            try:
                if timer.is_on:
                    task = getattr(self._callback, "__self__", None)  # type: ignore[attr-defined]
                    began_ns = clock()
                    ready_ns = ready.pop(id(self), began_ns)
                    if isinstance(task, Task):
                        began[id(task)] = began_ns
            except BaseException as exc:
                if not caught(exc):
                    raise
            # Outside of any handler: what the callback raises must not have the probe's error as its context.
            try:
                own(self)
            except BaseException as exc:
                exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
                raise
            try:
                if not timer.is_on or not began_ns:
                    return
                took_ns = clock() - began_ns
                if not isinstance(task, Task):
                    on_callback(took_ns)
                    return
                began.pop(id(task), None)
                if hasattr(task, "_fut_waiter"):
                    on_step(task, began_ns, took_ns, ready_ns, task._fut_waiter is None)
                else:
                    timer.missed += 1  # a task class that is not asyncio's
            except BaseException as exc:
                if not caught(exc):
                    raise

        return _run

    def _stamped(
        self, own: Callable[..., Handle], caught: Callable[[BaseException], bool]
    ) -> Callable[..., Handle]:
        clock, ready, timer = monotonic_ns, self.ready, self

        def _call_soon(loop: Any, callback: Any, args: Any, context: Any) -> Handle:
            handle = own(loop, callback, args, context)
            try:
                if timer.is_on:
                    ready[id(handle)] = clock()
                # In debug mode a handle keeps the stack on which it was made: remove this frame from it.
                if handle._source_traceback:  # type: ignore[attr-defined]
                    del handle._source_traceback[-1]  # type: ignore[attr-defined]
            except BaseException as exc:
                if not caught(exc):
                    raise
            return handle

        return _call_soon

    def _stamped_from_threads(
        self, own: Callable[..., None], caught: Callable[[BaseException], bool]
    ) -> Callable[..., None]:
        clock, ready, timer = monotonic_ns, self.ready, self

        def __init__(handle: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            own(handle, *args, **kwargs)
            try:
                # Before it is in the queue: from then on the loop may run it at any time.
                if timer.is_on:
                    ready[id(handle)] = clock()
                if handle._source_traceback:
                    del handle._source_traceback[-1]
            except BaseException as exc:
                if not caught(exc):
                    raise

        return __init__
