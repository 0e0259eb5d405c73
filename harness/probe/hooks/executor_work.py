"""What the threads of executors work at, and for whom: the task and span that were current at its submission.

A thread of an executor has no context of its own to read that from, so every work item keeps it. Only while
somebody wants to know; work that was submitted before that is unknown.
"""

from __future__ import annotations

import threading
from asyncio import current_task
from collections.abc import Callable
from concurrent.futures import thread as executors
from typing import Any

from ..sampling.buffer import SampleContext, sample_context
from ..tasks import identity
from .loop_state import running_loop


class ExecutorWork:
    """The work that goes on in executors; *on_begin* is told of each piece, in its thread."""

    def __init__(self, on_begin: Callable[[], None]) -> None:
        self.running: dict[int, tuple[str, SampleContext]] = {}  # by thread: its name, and for whom
        self._own = executors._WorkItem
        self._item = _item_that_tells(self._own, self.running, on_begin)

    def install(self) -> None:
        """Keep for whom work is submitted from now on."""
        executors._WorkItem = self._item  # type: ignore[misc]

    def remove(self) -> None:
        """Keep it no more."""
        if executors._WorkItem is self._item:
            executors._WorkItem = self._own  # type: ignore[misc]


def _item_that_tells(
    own: Any, running: dict[int, tuple[str, SampleContext]], on_begin: Callable[[], None]
) -> Any:
    class _WorkItem(own):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            loop = running_loop()
            self._who = sample_context(
                current_task(loop) if loop is not None else None, identity.running_span()
            )

        def run(self) -> None:
            ident = threading.get_ident()
            running[ident] = (threading.current_thread().name, self._who)
            on_begin()
            try:
                super().run()
            finally:
                running.pop(ident, None)

    return _WorkItem
