"""Finds the task and span that an executor's thread works for: those that were current at the submission.

The thread has no context to read them from, so they are kept with the work item. Work that was submitted
before `install` is unknown.
"""

from __future__ import annotations

import threading
from asyncio import current_task
from collections.abc import Callable
from typing import Any

from ..hooks import executor_hook
from ..hooks.executor_hook import Begin, End
from ..hooks.state.loop_state import running_loop
from ..tasks import identity
from .buffer import SampleContext, sample_context


class ExecutorWork:
    """The work in progress in executors; *on_begin* is called for each item, in its thread."""

    def __init__(self, on_begin: Callable[[], None]) -> None:
        self.running: dict[int, tuple[str, SampleContext]] = {}  # by thread: its name, and what it works for
        self._on_begin = on_begin
        self._is_installed = False

    def install(self) -> None:
        """Observe the work that is submitted from now on."""
        if not self._is_installed:
            self._is_installed = True
            executor_hook.subscribe(self._submitted)

    def remove(self) -> None:
        """Stop observing."""
        self._is_installed = False
        executor_hook.unsubscribe(self._submitted)

    def _submitted(self) -> Begin:
        loop = running_loop()
        task = current_task(loop) if loop is not None else None
        context = sample_context(task, identity.running_span())

        def begin(_function: Any) -> End:
            ident = threading.get_ident()
            self.running[ident] = (threading.current_thread().name, context)
            self._on_begin()
            return lambda: self.running.pop(ident, None)

        return begin
