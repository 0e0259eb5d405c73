"""Keeps where and when each task is made, while somebody wants to know: the console does.

No task factory is set. `create_task` is replaced on the loop itself, around whatever factory there is or
comes, so `get_task_factory` goes on to tell what the program has set: libraries look there for the eager
factory, and behave differently. What is kept is raw, is put into words when it is asked for, and goes with
its task: a task written in C takes attributes, though it has no ``__dict__`` to show them in.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from asyncio import AbstractEventLoop, Task
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType
from typing import Any
from weakref import WeakSet, ref

from ...record.clock import monotonic_ns
from ...record.observation import Frame
from .builtin_shim import hide_frame
from .replacement import Replacement
from .task_state import creation_stack

# How many places are kept of a task: its own, its maker's, and so on. They are copied, not linked, so a task
# that makes its own successor for ever does not keep the whole line.
PLACES = 4
# When, the task that made it, then a code and an instruction for each place: the tuple on a task.
_AT, _PARENT, _FIRST = 0, 1, 2
# What asyncio does on behalf of its caller is not where a task is made.
_ON_BEHALF = vars(asyncio.tasks), vars(asyncio.taskgroups)


@dataclass(frozen=True, slots=True)
class TaskOrigin:
    """Where a task comes from."""

    at_ns: int
    places: tuple[Frame, ...]  # the line that made it, then the line that made its maker, and so on
    parent: Task[Any] | None = field(
        repr=False
    )  # the task that made it, if there was one and it is still there


def origin_of(task: Task[Any]) -> TaskOrigin | None:
    """What is known of where *task* was made; `None` for one that nobody saw being made."""
    kept: tuple[Any, ...] | None = getattr(task, "_harness_birth", None)
    if kept is None:
        return None
    sites = kept[_FIRST:]
    places = tuple(_frame(code, lasti) for code, lasti in zip(sites[::2], sites[1::2], strict=True))
    return TaskOrigin(kept[_AT], places, kept[_PARENT]() if kept[_PARENT] is not None else None)


class TaskHook:
    """Sees every task being made on the loops that it is told of."""

    def __init__(self) -> None:
        self.missed = 0  # tasks that could not be marked
        self._over = False
        # Kept by the functions, which the loops keep: a loop must not live longer than without this.
        self._replacements: WeakSet[Replacement] = WeakSet()

    def begin(self, loop: AbstractEventLoop) -> None:
        """See the tasks of *loop* being made from now on; from any thread, and again at will."""
        known = any(replacement.owner is loop for replacement in tuple(self._replacements))
        if not (self._over or known) and hasattr(loop, "__dict__"):
            self._replacements.add(Replacement(loop, "create_task", self._noting(loop, loop.create_task)))

    def end(self) -> None:
        """Leave every loop as it was. What somebody has put around ours only passes on from now on."""
        self._over = True
        for replacement in tuple(self._replacements):
            replacement.undo()

    def _noting(self, loop: AbstractEventLoop, own: Callable[..., Task[Any]]) -> Callable[..., Task[Any]]:
        # Runs for every task: everything it touches is a local of this closure.
        tasks, groups = _ON_BEHALF
        frame_at, clock, current_task = sys._getframe, monotonic_ns, asyncio.current_task

        @functools.wraps(own)
        def create_task(*args: Any, **kwargs: Any) -> Task[Any]:
            try:
                task: Any = own(*args, **kwargs)
            except BaseException as exc:
                hide_frame(exc)
                raise
            if self._over:
                return task  # type: ignore[no-any-return]
            try:
                frame: Any = frame_at(1)
                while (known := frame.f_globals) is tasks or known is groups:
                    frame = frame.f_back
                parent = current_task(loop)
                if parent is None:
                    task._harness_birth = (clock(), None, frame.f_code, frame.f_lasti)
                else:
                    before = getattr(parent, "_harness_birth", ())[_FIRST : 2 * PLACES]
                    task._harness_birth = (clock(), ref(parent), frame.f_code, frame.f_lasti, *before)
                if made := creation_stack(task):  # asyncio's debug mode keeps the stack: without this frame
                    made[:] = [entry for entry in made if entry.filename != __file__]
            except Exception:
                # A task of somebody's own making, that takes no attributes.
                self.missed += 1
            return task  # type: ignore[no-any-return]

        return create_task


def _frame(code: CodeType, lasti: int) -> Frame:
    lines = (line for start, end, line in code.co_lines() if start <= lasti < end)
    return Frame(code.co_filename, next(lines, None) or code.co_firstlineno, code.co_qualname)
