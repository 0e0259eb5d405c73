"""Observes the work of thread pools: when it is submitted, and when it begins and ends in its thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import thread as executors
from typing import Any

from . import runtime
from .replacement import Replacement

# The function that runs one work item in an executor's thread.
RUN_WORK_ITEM = executors._WorkItem.run.__code__

End = Callable[[], object]  # called after the work, in the worker's thread
Begin = Callable[[Any], End]  # called before it, in that thread, with the function that was submitted
OnSubmit = Callable[[], Begin | None]  # called in the thread that submits; `None` to ignore this work

_subscribers: list[OnSubmit] = []
_replacements: list[Replacement] = []
_lock = threading.Lock()


def subscribe(on_submit: OnSubmit) -> None:
    """Call *on_submit* for all work that is submitted from now on; it must not raise."""
    with _lock:
        if not _replacements and not runtime.why_no_executor_hook():
            _replacements.append(Replacement(executors, "_WorkItem", _observed(executors._WorkItem)))
        _subscribers.append(on_submit)


def unsubscribe(on_submit: OnSubmit) -> None:
    """Stop calling *on_submit*; after the last subscriber, `concurrent.futures` is restored.

    Without the lock: in a child after `fork`, a thread that does not exist there may hold it.
    """
    if on_submit in _subscribers:
        _subscribers.remove(on_submit)
    while _replacements and not _subscribers:
        _replacements.pop().undo()


def _observed(own: Any) -> Any:
    class _WorkItem(own):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._begins = [begin for on_submit in _subscribers if (begin := on_submit()) is not None]

        def run(self) -> None:
            # Before the original `run`, which may drop the function.
            ends = [begin(self.fn) for begin in self._begins]
            try:
                super().run()
            finally:
                for end in ends:
                    end()

    return _WorkItem
