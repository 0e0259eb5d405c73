"""Records where and when each task is created, while a console is open.

No task factory is set, because libraries check `get_task_factory` for the eager factory and behave
accordingly. Instead `create_task` is replaced on the loop itself, around any factory. The origin is kept in
raw form as an attribute, which even a task in C accepts; names and lines are looked up when they are needed.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from asyncio import AbstractEventLoop, Task
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import starmap
from typing import Any
from weakref import WeakSet, ref

from ...record.clock import monotonic_ns
from ...record.observation import Frame
from ..threads.stack import frame_at
from .hook import Hook
from .replacement import Replacement
from .state.task_state import creation_stack

# The number of places kept for a task: its own, its creator's, and so on. They are copied, not linked, so a
# task that creates its own successor again and again does not keep the whole chain alive.
PLACES = 4
# The tuple on a task: the time, the task that created it, then a code and an instruction for each place.
_AT, _PARENT, _FIRST = 0, 1, 2
# The globals of asyncio's modules that create tasks on behalf of their callers.
_ON_BEHALF = vars(asyncio.tasks), vars(asyncio.taskgroups)


@dataclass(frozen=True, slots=True)
class TaskOrigin:
    """Where and when a task was created."""

    at_ns: int
    places: tuple[Frame, ...]  # the line that created it, then the line that created its creator, and so on
    parent: Task[Any] | None = field(repr=False)  # the task that created it, if it still exists


def origin_of(task: Task[Any]) -> TaskOrigin | None:
    """The origin of *task*; `None` for one whose creation was not observed."""
    kept: tuple[Any, ...] | None = getattr(task, "_harness_birth", None)
    if kept is None:
        return None
    sites = kept[_FIRST:]
    places = tuple(starmap(frame_at, zip(sites[::2], sites[1::2], strict=True)))
    return TaskOrigin(kept[_AT], places, kept[_PARENT]() if kept[_PARENT] is not None else None)


class TaskHook:
    """Observes the creation of tasks on the loops that are passed to `begin`."""

    def __init__(self) -> None:
        self.missed = 0  # tasks that could not be marked
        self._hook = _CreationHook()

    def begin(self, loop: AbstractEventLoop) -> None:
        """Observe the tasks that *loop* creates from now on, once. Callable from any thread."""
        hook = self._hook
        known = any(replacement.owner is loop for replacement in tuple(hook.replacements))
        if hook.is_on and not known and hasattr(loop, "__dict__"):
            Replacement(hook, loop, "create_task", self._noting(loop, loop.create_task))

    def end(self) -> None:
        """Undo the replacement on every loop. One that other code has wrapped only calls the original."""
        self._hook.undo()

    def _noting(self, loop: AbstractEventLoop, own: Callable[..., Task[Any]]) -> Callable[..., Task[Any]]:
        # Runs for every task: everything it uses is a local of this closure.
        tasks, groups = _ON_BEHALF
        frame_at, clock, current_task = sys._getframe, monotonic_ns, asyncio.current_task
        hook = self._hook
        caught = hook.caught

        @functools.wraps(own)
        def create_task(*args: Any, **kwargs: Any) -> Task[Any]:
            try:
                task: Any = own(*args, **kwargs)
            except BaseException as exc:
                exc.__traceback__ = exc.__traceback__ and exc.__traceback__.tb_next  # without this frame
                raise
            try:
                if not hook.is_on:
                    return task  # type: ignore[no-any-return]
                frame: Any = frame_at(1)
                while (known := frame.f_globals) is tasks or known is groups:
                    frame = frame.f_back
                parent = current_task(loop)
                birth: tuple[Any, ...] = clock(), None, frame.f_code, frame.f_lasti
                if parent is not None:
                    before = getattr(parent, "_harness_birth", ())[_FIRST : 2 * PLACES]
                    birth = clock(), ref(parent), frame.f_code, frame.f_lasti, *before
                try:
                    task._harness_birth = birth
                except AttributeError:  # a task of the program's own class, which takes no attributes
                    self.missed += 1
                if made := creation_stack(task):  # in debug mode: remove this frame
                    made[:] = [entry for entry in made if entry.filename != __file__]
            except BaseException as exc:
                if not caught(exc):
                    raise
            return task  # type: ignore[no-any-return]

        return create_task


class _CreationHook(Hook):
    """Keeps its replacements weakly: only the replaced functions keep them, and die with their loops."""

    def __init__(self) -> None:
        super().__init__("origins of tasks")
        self.replacements: WeakSet[Replacement] = WeakSet()

    def when_undone(self, undoing: Any) -> None:
        self.replacements.add(undoing.__self__)

    def undo(self) -> None:
        self.is_on = False
        for replacement in tuple(self.replacements):
            replacement.undo()
