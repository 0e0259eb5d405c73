"""Whether the target lived as long as it was meant to, and whether the probe got in."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from ...record.event import RunEnded, TargetExited, TargetReady, TargetStopping
from ..finding import Finding
from ..history import History
from ..units import duration, ms


def findings(history: History) -> Iterator[Finding]:
    """An error for a target that died on its own, a warning for one that was not watched."""
    exited = history.last(TargetExited)
    if exited is not None and died(exited):
        yield Finding("target", "error", f"the target died on its own, {ending(exited.status)}")
    asked = history.last(TargetStopping)
    if exited is not None and asked is not None and exited.status == -signal.SIGKILL:
        ran_on = duration(ms(exited.at_ns - asked.at_ns))
        message = (
            f"the target was asked to end by {asked.signal}, ran on for {ran_on}, and ended by SIGKILL only"
        )
        yield Finding("target", "warning", message)
    if reason := unwatched(history):
        yield Finding("target", "warning", reason)


def died(exited: TargetExited) -> bool:
    """Whether nobody had asked for this end, and it was not a good one."""
    return not exited.expected and exited.status != 0


def failed(history: History) -> bool:
    """Whether the run broke off because the target did not get ready, or ended before its time."""
    ended, exited = history.last(RunEnded), history.last(TargetExited)
    if ended is None or not ended.error:
        return False
    return not history.of(TargetReady) or (exited is not None and not exited.expected)


def unwatched(history: History) -> str:
    """Why nothing can be said of a loop; "" when at least one was timed."""
    if any(loop.page is not None and loop.started.mechanism != "unseen" for loop in history.loops):
        return ""
    if history.loops:
        return f"the turns of {history.loops[0].started.kind} could not be timed"
    if history.entered or any(source.opened and source.opened.role == "target" for source in history.sources):
        return "the program ran no event loop that the probe saw"
    return "the probe never entered the program"


def ending(status: int) -> str:
    """A return code in words: ``with status 1``, ``by SIGKILL``."""
    if status >= 0:
        return f"with status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"
