"""What thread pools do for the traces that are logged: who has submitted it, when it began, and its end."""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from concurrent.futures import thread as executors
from contextvars import Context
from functools import partial
from typing import Any

from ...record.clock import monotonic_ns
from ...record.observation import WORK

# The function that runs one work item in an executor's thread.
RUN_WORK_ITEM = executors._WorkItem.run.__code__


class ExecutorLog:
    """The work submitted to thread pools from now on, until `stop`; logged as it ends."""

    def __init__(self, submitter: Callable[[], int], place_of: Callable[[Any], int]) -> None:
        """*submitter* is asked at each submission: the number of the step that does it, 0 for none to log."""
        self.rows: list[int] = []
        self.working: dict[int, int] = {}  # by thread: what it does, as a waker
        self._count = 0
        self._own: Any = executors._WorkItem
        self._item = self._logging(submitter, place_of)
        executors._WorkItem = self._item  # type: ignore[misc]

    def stop(self) -> None:
        """Log no more. Who replaced it after us keeps theirs."""
        if executors._WorkItem is self._item:
            executors._WorkItem = self._own  # type: ignore[misc]

    def _logging(self, submitter: Callable[[], int], place_of: Callable[[Any], int]) -> Any:
        rows, working, clock, works = self.rows, self.working, monotonic_ns, self

        class _WorkItem(self._own):  # type: ignore[misc,name-defined]
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self._step = submitter()
                if self._step:
                    works._count += 1
                    self._number, self._submitted_ns = works._count, clock()

            def run(self) -> None:
                if not self._step:
                    super().run()
                    return
                # Before it is run: the original forgets the function.
                place, ident, began_ns = place_of(_function(self.fn)), get_ident(), clock()
                number, step, submitted_ns = self._number, self._step, self._submitted_ns
                working[ident] = WORK - number
                try:
                    super().run()
                finally:
                    del working[ident]
                    rows.extend((number, step, submitted_ns, began_ns, clock(), place))

        return _WorkItem


def _function(submitted: Any) -> Any:
    """What the program wants to be run: `asyncio.to_thread` wraps it, and so do partials."""
    while isinstance(submitted, partial):
        inner = submitted.func
        submitted = submitted.args[0] if isinstance(getattr(inner, "__self__", None), Context) else inner
    return submitted
