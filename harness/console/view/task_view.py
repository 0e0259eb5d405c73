"""Describes tasks and their states at one moment."""

from __future__ import annotations

from asyncio import Task, current_task
from typing import TYPE_CHECKING, Any

from ...probe.hooks.state import task_state
from ...probe.hooks.state.thread_state import current_frames
from ...probe.hooks.task_hook import origin_of
from ...probe.tasks import coroutine, identity
from ...probe.threads.stack import DEPTH, of_frame
from ...record.clock import monotonic_ns
from ...record.observation import Frame
from ...stacks.turn_stack import TurnStack
from . import task_table, task_waits

if TYPE_CHECKING:
    from .process import ProcessView

RUNNING, READY, WAITING, ENDED = "running", "ready", "waiting", "ended"


class TaskView:
    """Describes tasks as of its creation. It keeps no task alive."""

    def __init__(self, process: ProcessView) -> None:
        self.ownership = process.ownership
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
        awaited = task_state.awaited_future(task)
        return READY if awaited is None or awaited.done() else WAITING

    def stack(self, task: Task[Any]) -> tuple[Frame, ...]:
        """The stack of *task*, outermost frame first, even in the middle of a step."""
        work: Any = task.get_coro()
        if (thread := self._threads.get(id(task))) is None:
            return coroutine.of_work(work).stack
        own = getattr(work, "cr_frame", None)
        frames: list[Frame] = []
        frame = current_frames().get(thread)
        while frame is not None and len(frames) < DEPTH:
            frames.append(of_frame(frame))
            if frame is own:
                return tuple(reversed(frames))
            frame = frame.f_back
        return coroutine.of_work(work).stack  # the step is over

    def place(self, task: Task[Any]) -> str:
        """``FILE:LINE function`` of the program's own code where *task* is."""
        return self.ownership.place(TurnStack(self.stack(task), self.ownership).blamed)

    def waits_for(self, task: Task[Any]) -> str | None:
        """A description of what *task* waits for."""
        wait = task_waits.of(task, self.ownership)
        return str(wait) if wait is not None else None

    def age_s(self, task: Task[Any]) -> float | None:
        """The age of *task*; `None` if it was made before the console opened."""
        origin = origin_of(task)
        return (self._now_ns - origin.at_ns) / 1e9 if origin is not None else None

    def made_at(self, task: Task[Any]) -> list[str] | None:
        """The line that created *task*, the line that created its creator, and so on; `None` if unknown."""
        origin = origin_of(task)
        return [self.ownership.place(place) for place in origin.places] if origin is not None else None

    def loop(self, task: Task[Any]) -> int | None:
        """The number of the loop of *task*; `None` if the loop does not run."""
        return self._loops.get(id(task.get_loop()))

    def row(self, task: Task[Any]) -> tuple[object, ...]:
        """The cells of `COLUMNS`."""
        known = identity.of_task(task)
        return (
            task_table.number(task),
            known.task,
            self.state(task),
            known.coroutine,
            self.place(task),
            self.waits_for(task),
            self.age_s(task),
            known.span or None,
            known.trace_id or None,
        )


COLUMNS = ("id", "task", "state", "coroutine", "where", "waits_for", "age_s", "span", "trace_id")
