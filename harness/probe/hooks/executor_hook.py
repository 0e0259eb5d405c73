"""Observes the work of thread pools: when it is submitted, and when it begins and ends in its thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import thread as executors
from typing import Any

from . import runtime
from .hook import Hook, leave_out
from .replacement import Replacement

# The function that calls the work of one item in an executor's thread; `None` where there is none in Python.
RUN_WORK_ITEM = runtime.run_of_work_items(executors)

# The function of a pool's threads, which wait in it for work.
WAITS_FOR_WORK = getattr(getattr(executors, "_worker", None), "__code__", None)

End = Callable[[], object]  # called after the work, in the worker's thread
Begin = Callable[[Any], End]  # called before it, in that thread, with the function that was submitted
OnSubmit = Callable[[], Begin | None]  # called in the thread that submits; `None` to ignore this work

_subscribers: list[OnSubmit] = []
_hooks: list[Hook] = []  # while there are subscribers
_lock = threading.Lock()


def subscribe(on_submit: OnSubmit) -> None:
    """Call *on_submit* for all work that is submitted from now on. An error in it undoes the hook."""
    with _lock:
        if not _hooks:
            _hooks.append(hook := Hook("executors"))
            leave_out(hook.name, reason := runtime.why_no_executor_hook())
            if not reason and hook.is_on:
                Replacement(hook, executors, "_WorkItem", _observed(executors._WorkItem, hook))
        _subscribers.append(on_submit)


def unsubscribe(on_submit: OnSubmit) -> None:
    """Stop calling *on_submit*; after the last subscriber, `concurrent.futures` is restored.

    Without the lock: in a child after `fork`, a thread that does not exist there may hold it.
    """
    if on_submit in _subscribers:
        _subscribers.remove(on_submit)
    while _hooks and not _subscribers:
        _hooks.pop().undo()


def _observed(own: Any, hook: Hook) -> Any:
    submitted, end = hook.guarded(_submitted), hook.guarded(_end)
    begin = hook.guarded(lambda begins, item: [begin(runtime.work_of(item)) for begin in begins])

    class _WorkItem(own):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._begins = submitted()

        def run(self, *args: Any) -> None:
            # Before the original `run`, which may drop the function.
            ends = begin(self._begins, self) if self._begins else None
            try:
                super().run(*args)
            finally:
                if ends:
                    end(ends)

    _WorkItem.__qualname__ = own.__qualname__
    _WorkItem.__module__ = own.__module__
    return _WorkItem


def _submitted() -> list[Begin]:
    return [begin for on_submit in _subscribers if (begin := on_submit()) is not None]


def _end(ends: list[End]) -> None:
    for end in ends:
        end()
