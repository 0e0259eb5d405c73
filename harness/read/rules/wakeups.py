"""Loops that slept while callbacks were ready, because other threads had not woken them."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import Frame
from ...stacks.ownership import CodeOwnership
from ..evidence import Evidence
from ..finding import Cost, CostUnit, Finding, Level
from ..gauges import wakeup
from ..place import blamed, line_of
from ..units import duration, plural

ORDER = 45


def findings(evidence: Evidence) -> Iterator[Finding]:
    """A warning for each kind of callback that stood ready."""
    for missed in wakeup.missed(evidence.history):
        ownership = evidence.history.ownership(missed.pid)
        stood = duration(missed.stood_s * 1000)
        times = f", {plural(missed.count, 'time')}" if missed.count > 1 else ""
        what = f"{missed.label}{_at(missed.place, ownership)}"
        message = f"{what} stood ready for at least {stood}{times} while its loop slept: "
        if missed.caller is not None:
            message += (
                f"{missed.caller.function}{_at(missed.caller, ownership)} calls {missed.called} on thread "
                f"{missed.thread or 'without a name'}, which does not wake the loop"
            )
        else:
            message += "it was made ready from another thread, or a signal's handler, without waking the loop"
        yield Finding(
            "wakeups",
            Level.WARNING,
            message,
            *blamed(missed.caller or missed.place),
            cost=Cost(missed.stood_s, CostUnit.STOOD_S),
            next="Call it on the loop's own thread: loop.call_soon_threadsafe(...).",
            explains=("growth",),  # of a queue whose consumer was not woken
        )


def _at(frame: Frame | None, ownership: CodeOwnership) -> str:
    return f" ({line_of(frame, ownership)})" if frame is not None else ""
