"""What thread pools do for the traces that are logged: the step that submitted it, its beginning and end."""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any

from ...record.clock import monotonic_ns
from ...record.observation import WORK
from ..hooks import executor_hook
from ..hooks.executor_hook import Begin, End


class ExecutorLog:
    """The work submitted to thread pools from now on, until `stop`; logged as it ends."""

    def __init__(self, submitter: Callable[[], int], place_of: Callable[[Any], int]) -> None:
        """*submitter* returns the number of the step that submits work at this moment, 0 to log nothing."""
        self.rows: list[int] = []
        self.working: dict[int, int] = {}  # by thread: the work it does, as a waker
        self._count = 0
        self._submitter = submitter
        self._place_of = place_of
        executor_hook.subscribe(self._submitted)

    def stop(self) -> None:
        """Log no work that is submitted from now on."""
        executor_hook.unsubscribe(self._submitted)

    def _submitted(self) -> Begin | None:
        step = self._submitter()
        if not step:
            return None
        self._count += 1
        number, submitted_ns = self._count, monotonic_ns()

        def begin(function: Any) -> End:
            place, ident, began_ns = self._place_of(_innermost(function)), get_ident(), monotonic_ns()
            self.working[ident] = WORK - number

            def end() -> None:
                del self.working[ident]
                self.rows.extend((number, step, submitted_ns, began_ns, monotonic_ns(), place))

            return end

        return begin


def _innermost(submitted: Any) -> Any:
    """The program's own function: `asyncio.to_thread` wraps it, and so do partials."""
    while isinstance(submitted, partial):
        inner = submitted.func
        submitted = submitted.args[0] if isinstance(getattr(inner, "__self__", None), Context) else inner
    return submitted
