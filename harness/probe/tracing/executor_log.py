"""Logs the work of thread pools for the logged traces: the step that submitted it, its beginning and end."""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from typing import Any

from ...record.clock import monotonic_ns
from ...record.observation import WORK
from ..hooks import executor_hook
from ..hooks.executor_hook import Begin, End
from ..tasks import identity


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
        """Stop logging: work that is submitted from now on is ignored."""
        executor_hook.unsubscribe(self._submitted)

    def _submitted(self) -> Begin | None:
        step = self._submitter()
        if not step:
            return None
        self._count += 1
        number, submitted_ns = self._count, monotonic_ns()

        def begin(function: Any) -> End:
            place, ident, began_ns = self._place_of(identity.innermost(function)), get_ident(), monotonic_ns()
            self.working[ident] = WORK - number

            def end() -> None:
                del self.working[ident]
                self.rows.extend((number, step, submitted_ns, began_ns, monotonic_ns(), place))

            return end

        return begin
