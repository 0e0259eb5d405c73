"""Records what keeps a process running after SIGTERM or SIGINT: its pending tasks and non-daemon threads; and
which threads keep it running after the end of its main thread.

Nothing is done, and no thread runs, before a handler of the program is called for such a signal, or the main
thread ends. A process that ends within a second is never sampled.
"""

from __future__ import annotations

import os
import threading
import time
from asyncio import Task
from asyncio.base_events import BaseEventLoop
from asyncio.runners import Runner
from collections.abc import Callable
from signal import Signals
from time import thread_time_ns
from types import FrameType
from typing import Any

from ...record.clock import monotonic_ns
from ...record.hidden_thread import Background
from ...record.observation import (
    Coroutine,
    ExitDelayed,
    NonDaemonThread,
    Observation,
    ProcessExiting,
    ShutdownStalled,
    WaitingTasks,
)
from ..feature import Feature
from ..hooks.process.exit_hook import before_joining
from ..hooks.runtime import starts_no_thread_at_the_end
from ..hooks.state import task_state
from ..hooks.state.task_state import TaskRef
from ..hooks.state.thread_state import known_threads
from ..threads import other_threads
from ..threads.stack import stack_of
from . import coroutine
from .census import AT_ONCE, PAUSE_S, registered
from .coroutine import Place

# Seconds after the signal. Service managers kill a process after five, ten, thirty or ninety.
WRITE_AFTER_S = (1, 2, 3, 5, 8, 12, 20, 29, 60, 89)
# The most kinds of tasks, and the most threads, that are listed.
LISTED = 10
# The functions that run a loop until a future is done, and their names for it. Under uvloop only the second
# has a frame in Python.
_RUNNERS = ((BaseEventLoop.run_until_complete.__code__, "future"), (Runner.run.__code__, "task"))


class ShutdownWatch(Feature):
    """Samples the process at growing intervals, from the signal until its end."""

    name = "ending"

    def __init__(
        self,
        *,
        write: Callable[[Observation], object],
        is_running: Callable[[], bool],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        """*is_running* returns whether a loop runs."""
        self._cpu_ns = 0
        self._write = write
        self._is_running = is_running
        self._on_error = on_error
        self._asked_ns = 0  # 0: there was no signal, or the last sample after it has been taken
        self._is_abandoned = self._waits_for_end = False
        self._has_ended = threading.Event()  # the main thread, while others of the program go on ...
        self._ended_ns = 0  # ... since then

    def signalled(self, number: int, frame: FrameType | None) -> None:
        """Called before the program's handler for this signal, which has interrupted *frame*.

        This runs between two instructions of the program, so it takes no lock and imports nothing.
        """
        if self._asked_ns:
            return
        self._asked_ns = monotonic_ns()
        name, before = Signals(number).name, _awaited_in(frame)
        Background(lambda: self._write_periodically(name, before))

    def loop_stopped(self) -> None:
        # Not earlier: what is registered last is called first, and most pools of threads exist by now.
        if not self._waits_for_end and threading.current_thread() is threading.main_thread():
            self._waits_for_end = True
            if starts_no_thread_at_the_end():
                Background(self._await_main_end)
            before_joining(self._main_ended)

    def abandon(self) -> None:
        self._is_abandoned = True

    def cpu_ns(self) -> int:
        return self._cpu_ns

    def leave(self) -> None:
        if self._asked_ns:
            self._write(ProcessExiting(monotonic_ns(), os.getpid()))

    def _write_periodically(self, name: str, before: Coroutine | None) -> None:
        for after_s in WRITE_AFTER_S:
            time.sleep(max(0.0, after_s - (monotonic_ns() - self._asked_ns) / 1e9))
            try:
                self._write(self._stalled(name, before))
            except BaseException as exc:
                self._on_error("ending", exc)
            self._cpu_ns = thread_time_ns()
        self._asked_ns = 0

    def _main_ended(self) -> None:
        if not self._is_abandoned and _lasting(other_threads.frames(), threading.get_ident()):
            self._ended_ns = monotonic_ns()
            if starts_no_thread_at_the_end():
                self._has_ended.set()
            else:
                Background(self._write_lasting)

    def _await_main_end(self) -> None:
        self._has_ended.wait()
        self._write_lasting()

    def _write_lasting(self) -> None:
        since_ns = self._ended_ns
        for after_s in WRITE_AFTER_S:
            time.sleep(max(0.0, after_s - (monotonic_ns() - since_ns) / 1e9))
            threads = _lasting(other_threads.frames(), threading.main_thread().ident or 0)
            if not threads:
                return
            self._write(ExitDelayed(monotonic_ns(), os.getpid(), since_ns, threads))
            self._cpu_ns = thread_time_ns()

    def _stalled(self, name: str, before: Coroutine | None) -> ShutdownStalled:
        pending, waiting = _pending() if self._is_running() else (0, ())
        frames, main = other_threads.frames(), threading.main_thread().ident or 0
        return ShutdownStalled(
            at_ns=monotonic_ns(),
            pid=os.getpid(),
            asked_ns=self._asked_ns,
            signal=name,
            before=before,
            pending=pending,
            waiting=waiting,
            stack=stack_of(frames.get(main)),
            threads=_lasting(frames, main),
        )


def _awaited_in(frame: FrameType | None) -> Coroutine | None:
    """The coroutine of the task for which the loop in *frame* runs, and where it waits now."""
    while frame is not None:
        for code, name in _RUNNERS:
            if frame.f_code is code and isinstance(awaited := frame.f_locals.get(name), Task):
                return coroutine.of_task(awaited)
        frame = frame.f_back
    return None


def _pending() -> tuple[int, tuple[WaitingTasks, ...]]:
    """The number of pending tasks, and the largest groups of them: those that a loop runs for come first."""
    clusters: dict[tuple[bool, Place], list[TaskRef]] = {}
    refs = registered() or []
    for start in range(0, len(refs), AT_ONCE):
        if start:
            time.sleep(PAUSE_S)
        for ref in refs[start : start + AT_ONCE]:
            if (task := ref()) is not None and not task.done():
                key = (_is_awaited_by_loop(task), coroutine.place_of(task.get_coro()))
                clusters.setdefault(key, []).append(ref)
    largest = sorted(clusters.items(), key=lambda item: (item[0][0], len(item[1])), reverse=True)[:LISTED]
    waiting = []
    for (is_main, _), cluster in largest:
        task = next(filter(None, (ref() for ref in cluster)), None)
        if task is not None:
            waiting.append(WaitingTasks(coroutine.of_task(task), len(cluster), is_main))
    return sum(map(len, clusters.values())), tuple(waiting)


def _is_awaited_by_loop(task: Task[Any]) -> bool:
    """Whether a loop, asyncio's or uvloop's, runs until this task is done."""
    names = (getattr(callback, "__qualname__", "") for callback in task_state.callbacks(task))
    return any("run_until_complete" in name for name in names)


def _lasting(frames: dict[int, FrameType], main: int) -> tuple[NonDaemonThread, ...]:
    """The threads for which Python waits before it exits."""
    return tuple(
        NonDaemonThread(thread.name, stack_of(frames[ident]))
        for ident, thread in known_threads()
        if ident in frames
        and ident != main
        and not thread.daemon
        and not thread.name.startswith(other_threads.OWN)
    )[:LISTED]
