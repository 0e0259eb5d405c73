"""Records what keeps a process running after SIGTERM or SIGINT: its pending tasks and non-daemon threads; and
which threads or exit handlers keep it running after the end of its main thread.

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
from collections.abc import Callable, Iterable
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
from ...record.process import collection
from ..feature import Feature
from ..hooks.process.exit_hook import before_joining
from ..hooks.runtime import starts_no_thread_at_the_end
from ..hooks.state import task_state, thread_state
from ..hooks.state.task_state import TaskRef
from ..hooks.state.thread_state import known_threads
from ..threads import other_threads
from ..threads.stack import stack_of
from ..threads.usage import waits_for_another
from . import coroutine
from .census import AT_ONCE, PAUSE_S
from .coroutine import Halt, Place
from .register import registered

# Seconds after the signal. Service managers kill a process after five, ten, thirty or ninety.
WRITE_AFTER_S = (1, 2, 3, 5, 8, 12, 20, 29, 60, 89)
# The most kinds of tasks, and the most threads, that are listed.
LISTED = 10
# In these the main thread waits for the others, before it calls the exit handlers; or still runs the program.
_JOINS = ("_shutdown", "<module>")
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
        write_last: Callable[[Observation], object],
        later: Callable[[Callable[[], object]], None],
        is_running: Callable[[], bool],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        """*write_last* writes even after the end of the record.

        *later* calls a function soon in another thread; *is_running* returns whether a loop runs.
        """
        self._cpu_ns = 0
        self._write = write
        self._write_last = write_last
        self._later = later
        self._is_running = is_running
        self._on_error = on_error
        self._asked_ns = 0  # 0: there was no signal, or the last sample after it has been taken
        self._halt: Halt | None = None
        self._lacks_halt = False
        self._is_abandoned = self._waits_for_end = False
        self._has_ended = threading.Event()  # the main thread, while others of the program go on ...
        self._ended_ns = 0  # ... since then

    def signalled(self, number: int) -> None:
        """Called before the program's handler for this signal.

        This runs between two instructions of the program, so it takes no lock and imports nothing.
        """
        if not self._asked_ns:
            self._asked_ns = monotonic_ns()
            self._lacks_halt = True
            if starts_no_thread_at_the_end():  # later may be too late
                self._begin(number)
            else:
                self._later(lambda: self._begin(number))

    def handled(self, frame: FrameType | None) -> None:
        """Called when that handler has returned or raised; the signal has interrupted *frame*.

        The tasks still wait where they did: none has run since.
        """
        if self._lacks_halt:
            self._lacks_halt = False
            self._halt = _awaited_in(frame)

    def loop_stopped(self) -> None:
        # Not earlier: what is registered last is called first, and most pools of threads exist by now.
        if not self._waits_for_end and thread_state.this_thread() is threading.main_thread():
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

    def _begin(self, number: int) -> None:
        try:
            Background(lambda: self._write_periodically(number))
        except RuntimeError:
            pass  # no thread can be started any more, so the process is at its end
        except BaseException as exc:
            self._on_error("ending", exc)

    def _write_periodically(self, number: int) -> None:
        for after_s in WRITE_AFTER_S:
            time.sleep(max(0.0, after_s - (monotonic_ns() - self._asked_ns) / 1e9))
            try:
                with collection.elsewhere:
                    self._write(self._stalled(Signals(number).name, self._halted()))
            except BaseException as exc:
                self._on_error("ending", exc)
            self._cpu_ns = thread_time_ns()
        self._lacks_halt, self._halt, self._asked_ns = False, None, 0

    def _halted(self) -> Coroutine | None:
        """Where the main task waited at the signal; `None` until the handler has returned."""
        halt = self._halt
        return halt and coroutine.of_halt(halt)

    def _main_ended(self) -> None:
        if not self._is_abandoned:
            self._ended_ns = monotonic_ns()
            if starts_no_thread_at_the_end():
                self._has_ended.set()
            else:
                Background(self._write_lasting)

    def _await_main_end(self) -> None:
        self._has_ended.wait()
        self._write_lasting()

    def _write_lasting(self) -> None:
        since_ns, main = self._ended_ns, threading.main_thread().ident or 0
        for after_s in WRITE_AFTER_S:
            time.sleep(max(0.0, after_s - (monotonic_ns() - since_ns) / 1e9))
            with collection.elsewhere:
                self._write_what_lasts(since_ns, main)
            self._cpu_ns = thread_time_ns()

    def _write_what_lasts(self, since_ns: int, main: int) -> None:
        frames = other_threads.frames()
        handler = _exit_handler(frames.get(main))
        threads = _lasting(frames, main) if handler is None else ()
        if threads or handler is not None:
            lasting = ExitDelayed(monotonic_ns(), os.getpid(), since_ns, threads, stack_of(handler))
            # One of Python's exit handlers ends the record, and further ones may follow it.
            self._write_last(lasting)

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


def _awaited_in(frame: FrameType | None) -> Halt | None:
    """Where the task waits for which the loop in *frame* runs."""
    while frame is not None:
        for code, name in _RUNNERS:
            if frame.f_code is code and isinstance(awaited := frame.f_locals.get(name), Task):
                return coroutine.halt_of(awaited)
        frame = frame.f_back
    return None


def _pending() -> tuple[int, tuple[WaitingTasks, ...]]:
    """The number of pending tasks, and the largest groups of them: those that a loop runs for come first."""
    clusters: dict[tuple[bool, Place], list[TaskRef]] = {}
    refs = registered() or []
    for start in range(0, len(refs), AT_ONCE):
        if start:
            collection.sleep(PAUSE_S)
        _group(refs[start : start + AT_ONCE], clusters)
    largest = sorted(clusters.items(), key=lambda item: (item[0][0], len(item[1])), reverse=True)[:LISTED]
    waiting = []
    for (is_main, _), cluster in largest:
        task = next(filter(None, (ref() for ref in cluster)), None)
        if task is not None:
            waiting.append(WaitingTasks(coroutine.of_task(task), len(cluster), is_main))
    return sum(map(len, clusters.values())), tuple(waiting)


def _group(refs: Iterable[TaskRef], clusters: dict[tuple[bool, Place], list[TaskRef]]) -> None:
    """In a function of its own, so that no task is referred to during a pause."""
    for ref in refs:
        if (task := ref()) is not None and not task_state.is_done(task):
            key = (_is_awaited_by_loop(task), coroutine.place_of(task_state.work_of(task)))
            clusters.setdefault(key, []).append(ref)


def _is_awaited_by_loop(task: Task[Any]) -> bool:
    """Whether a loop, asyncio's or uvloop's, runs until this task is done."""
    names = (getattr(callback, "__qualname__", "") for callback in task_state.callbacks(task))
    return any("run_until_complete" in name for name in names)


def _lasting(frames: dict[int, FrameType], main: int) -> tuple[NonDaemonThread, ...]:
    """The threads for which Python waits before it exits."""
    return tuple(
        NonDaemonThread(thread.name, stack_of(frames[ident]), waits_for_another(thread.native_id or 0))
        for ident, thread in known_threads()
        if ident in frames
        and ident != main
        and not thread.daemon
        and not thread.name.startswith(other_threads.OWN)
    )[:LISTED]


def _exit_handler(frame: FrameType | None) -> FrameType | None:
    """The innermost frame of the program's exit handler that runs on the main thread, if one does."""
    outermost = frame
    while outermost is not None and outermost.f_back is not None:
        outermost = outermost.f_back
    if outermost is None or outermost.f_code.co_name in _JOINS:
        return None
    is_ours = str(outermost.f_globals.get("__name__")).partition(".")[0] == __name__.partition(".")[0]
    return None if is_ours else frame
