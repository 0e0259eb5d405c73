"""Notes the cancellations by which a `TaskGroup` wakes its own task and that it never takes back.

When one of its tasks fails while it waits for them, a group cancels the task that waits in it. Older Pythons
leave the request counted, so a task that catches the group's exception ends normally with a cancellation that
nobody asked for.
"""

from __future__ import annotations

import functools

from .hook import Hook
from .replacement import Replacement
from .runtime import groups_leave_requests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Task
    from types import ModuleType
    from typing import Any

_NOTED = "_harness_group_requests"


def requests_of_groups(task: Task[Any]) -> int:
    """How many of `task.cancelling()` come from groups that the task has waited in."""
    return getattr(task, _NOTED, 0)


def install(taskgroups: ModuleType) -> Hook:
    """Note such requests from now on; *taskgroups* is `asyncio.taskgroups`. An error undoes the hook."""
    hook = Hook("groups")
    if not groups_leave_requests(taskgroups):
        return hook
    group = taskgroups.TaskGroup
    own = group._on_task_done
    is_requested = hook.guarded(lambda group: group._parent_cancel_requested)
    note = hook.guarded(_note)

    @functools.wraps(own)
    def _on_task_done(self: Any, task: Task[Any]) -> None:
        requested = is_requested(self)
        own(self, task)
        if requested is False:
            note(self)

    if hook.is_on:
        Replacement(hook, group, "_on_task_done", _on_task_done)
    return hook


def _note(group: Any) -> None:
    # One that is made before the group's end begins is taken back there.
    if group._parent_cancel_requested and group._exiting:
        parent = group._parent_task
        setattr(parent, _NOTED, requests_of_groups(parent) + 1)
