"""Notes the cancellations by which a `TaskGroup` wakes its own task and that it never takes back.

When one of its tasks fails while it waits for them, a group cancels the task that waits in it. Older Pythons
leave the request counted, so a task that catches the group's exception ends normally with a cancellation that
nobody asked for.
"""

from __future__ import annotations

import functools

from .replacement import Replacement
from .runtime import groups_leave_requests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

_NOTED = "_harness_group_requests"


def requests_of_groups(task: Task[Any]) -> int:
    """How many of `task.cancelling()` come from groups that the task has waited in."""
    return getattr(task, _NOTED, 0)


def install(taskgroups: ModuleType, failed: Callable[[BaseException], object]) -> None:
    """Note such requests from now on; *taskgroups* is `asyncio.taskgroups`.

    An error of the hook undoes it, and is passed to *failed*.
    """
    if not groups_leave_requests(taskgroups):
        return
    group = taskgroups.TaskGroup
    own = group._on_task_done

    @functools.wraps(own)
    def _on_task_done(self: Any, task: Task[Any]) -> None:
        try:
            requested = self._parent_cancel_requested
        except Exception as exc:
            requested = True
            undo(exc)
        own(self, task)
        try:
            # One that is made before the group's end begins is taken back there.
            if not requested and self._parent_cancel_requested and self._exiting:
                parent = self._parent_task
                setattr(parent, _NOTED, requests_of_groups(parent) + 1)
        except Exception as exc:
            undo(exc)

    def undo(exc: BaseException) -> None:
        replacement.undo()
        failed(exc)

    replacement = Replacement(group, "_on_task_done", _on_task_done)
