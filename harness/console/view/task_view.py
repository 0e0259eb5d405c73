"""One look at the tasks: which of them run at this moment, and how to put one of them into words."""

from __future__ import annotations

import sys
from asyncio import Task, current_task
from typing import TYPE_CHECKING, Any

from ...probe.hooks.task_hook import origin_of
from ...probe.tasks import coroutine, identity
from ...record.clock import monotonic_ns
from ...record.observation import Frame
from . import task_table, task_waits

if TYPE_CHECKING:
    from .process import ProcessView

RUNNING, READY, WAITING, ENDED = "running", "ready", "waiting", "ended"
# Deeper stacks lose their outermost frames.
DEPTH = 100


class TaskView:
    """What the commands tell of a task, from one moment on. It holds no task."""

    def __init__(self, process: ProcessView) -> None:
        self.territory = process.territory
        self._now_ns = monotonic_ns()
        views = process.loops()
        self._loops = {id(view.loop): view.number for view in views}
        self._threads = {
            id(task): view.thread_ident for view in views if (task := current_task(view.loop)) is not None
        }

    def state(self, task: Task[Any]) -> str:
        """Whether *task* runs, is ready to run, waits for something, or has ended."""
        if task.done():
            return ENDED
        if id(task) in self._threads:
            return RUNNING
        awaited = task._fut_waiter  # type: ignore[attr-defined]  # in C or in Python, asyncio's tasks have it
        return READY if awaited is None or awaited.done() else WAITING

    def stack(self, task: Task[Any]) -> tuple[Frame, ...]:
        """Where *task* stands, outermost first: also in the middle of a step."""
        work: Any = task.get_coro()
        thread = self._threads.get(id(task))
        if thread is None:
            return coroutine.of_work(work).stack
        own = getattr(work, "cr_frame", None)
        frames: list[Frame] = []
        frame = sys._current_frames().get(thread)
        while frame is not None and len(frames) < DEPTH:
            frames.append(Frame(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_qualname))
            if frame is own:
                return tuple(reversed(frames))
            frame = frame.f_back
        return coroutine.of_work(work).stack  # the step is over

    def place(self, task: Task[Any]) -> str:
        """``FILE:LINE function`` of the program's own code where *task* stands."""
        return self.territory.place(self.territory.blamed(self.stack(task)))

    def waits_for(self, task: Task[Any]) -> str | None:
        """What it waits for, in words."""
        wait = task_waits.of(task, self.territory)
        return str(wait) if wait is not None else None

    def age_s(self, task: Task[Any]) -> float | None:
        """How old it is; `None` for one that nobody saw being made."""
        birth = origin_of(task)
        return (self._now_ns - birth.at_ns) / 1e9 if birth is not None else None

    def loop(self, task: Task[Any]) -> int | None:
        """The number of its loop; `None` for one that does not run."""
        return self._loops.get(id(task.get_loop()))

    def row(self, task: Task[Any]) -> tuple[object, ...]:
        """The cells of `COLUMNS`."""
        who = identity.of_task(task)
        return (
            task_table.number(task),
            who.task,
            self.state(task),
            who.coroutine,
            self.place(task),
            self.waits_for(task),
            self.age_s(task),
            who.span or None,
            who.trace_id or None,
        )


COLUMNS = ("id", "task", "state", "coroutine", "where", "waits_for", "age_s", "span", "trace_id")


def short(task: Task[Any]) -> str:
    """``7 (fetch-3)``: its number and its name."""
    return f"{task_table.number(task)} ({task.get_name()})"
