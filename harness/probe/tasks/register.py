"""The tasks of this process, from asyncio's own register: creating and ending a task costs nothing extra.

Until Python 3.13 that is one set of weak references. Since Python 3.14, the tasks of asyncio's own class are
in lists of their threads, in C. They can be listed loop by loop only, so loops are remembered here, and those
that are done are missing. A list is made in one go, in which no other thread can run, so it has a bound.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from contextlib import suppress
from itertools import chain
from typing import Any
from weakref import WeakSet, ref

from ...record.clock import monotonic_ns
from ..hooks.runtime import native_all_tasks, task_register
from ..hooks.state.task_state import TaskRef

# Inspecting more tasks than this would take too long: at any interval, or in one go.
LOOKED_AT = 200_000 if native_all_tasks() is None else 50_000
# Whether a task that is done is missing although it still exists.
FORGETS_DONE = native_all_tasks() is not None
# After a list that was longer, none is made for this many times as long as that one took.
REST = 1_000

_loops: Any = WeakSet[AbstractEventLoop]()
_not_before_ns = 0  # when a list may be made again


def loop_begins(loop: AbstractEventLoop) -> None:
    """Look for tasks in *loop*, too, from now on."""
    with suppress(TypeError):  # a class of loops that permits no weak reference
        _loops.add(loop)


def registered() -> list[TaskRef] | None:
    """Weak references to the tasks of all loops that have begun to run; `None` if there are too many."""
    if (list_tasks := native_all_tasks()) is None:
        register: Any = task_register()
        # Copied in one step of the interpreter, during which no other thread can change it.
        return list(register.data) if register is not None and len(register.data) <= LOOKED_AT else None
    global _not_before_ns
    if (began_ns := monotonic_ns()) < _not_before_ns:
        return None
    found: set[TaskRef] = set()
    for known in list(_loops.data):
        if (loop := known()) is not None and not loop.is_closed():
            # In one step as well: the set of tasks refers to them, and if it were the last to do so, a task's
            # finalizer would run in this thread instead of the loop's.
            found.update(map(ref, chain.from_iterable(map(list_tasks, (loop,)))))
    if len(found) > LOOKED_AT:
        _not_before_ns = monotonic_ns() + REST * (monotonic_ns() - began_ns)
        return None
    return list(found)
