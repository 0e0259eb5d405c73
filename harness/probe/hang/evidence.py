"""All tasks and the stacks of all threads of this process, before it is ended."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from types import FrameType

from ...record.clock import monotonic_ns
from ...record.observation import HungProcessEnded, TasksAtPlace, ThreadState
from ..hooks.state import task_state, thread_state
from ..tasks import coroutine, register
from ..tasks.coroutine import Place
from ..threads import other_threads
from ..threads.stack import stack_of

# Bounds on what is listed; everything is counted.
TASKS, THREADS = 50_000, 500


def of_process(
    number: int, began_ns: int, now_ns: int, limit_ns: int, interrupted: FrameType | None = None
) -> HungProcessEnded:
    """What is known of the process, whose loop *number* hangs; an error in it is part of the result.

    *interrupted* is the frame of this thread that a signal has interrupted; without one, this is a thread of
    the probe.
    """
    error, pending = "", None
    tasks: tuple[TasksAtPlace, ...] = ()
    threads: tuple[ThreadState, ...] = ()
    try:
        threads = tuple(_threads(interrupted))
        if (found := _tasks()) is None:
            error = "the tasks of this process cannot be listed"
        else:
            pending, tasks = sum(place.count for place in found), tuple(found)
    except Exception as exc:
        error = f"{type(exc).__name__}: {exc}".removesuffix(": ")
    return HungProcessEnded(
        at_ns=monotonic_ns(),
        pid=os.getpid(),
        loop=number,
        began_ns=began_ns,
        held_ns=now_ns - began_ns,
        limit_ns=limit_ns,
        by="probe",
        signal="SIGABRT",
        pending=pending,
        tasks=tasks,
        threads=threads,
        error=error,
    )


def _tasks() -> list[TasksAtPlace] | None:
    """The pending tasks by coroutine and place, the largest groups first."""
    if (refs := register.registered()) is None:
        return None
    names: dict[Place, list[str]] = {}
    counts: dict[Place, int] = {}
    examples = {}
    for listed, ref in enumerate(refs):
        if (task := ref()) is None or task_state.is_done(task):
            continue
        place = coroutine.place_of(task_state.work_of(task))
        if place not in counts:
            counts[place], names[place], examples[place] = 0, [], coroutine.of_task(task)
        counts[place] += 1
        if listed < TASKS:
            names[place].append(task_state.name_of(task))
    found = [TasksAtPlace(examples[at], tuple(sorted(names[at])), counts[at]) for at in counts]
    return sorted(found, key=lambda group: -group.count)


def _threads(interrupted: FrameType | None) -> Iterator[ThreadState]:
    """The program's threads, the main one first."""
    frames = other_threads.frames()
    if interrupted is not None:
        frames[threading.get_ident()] = interrupted
    known = sorted(thread_state.known_threads(), key=lambda item: item[1] is not threading.main_thread())
    for ident, thread in known[:THREADS]:
        if ident in frames and not thread.name.startswith(other_threads.OWN):
            yield ThreadState(thread.name, thread.native_id or 0, thread.daemon, stack_of(frames[ident]))
