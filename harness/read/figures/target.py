"""The measured program: how it was started and ended, and whether the probe timed a loop in it."""

from __future__ import annotations

from dataclasses import dataclass

from ...record.event import (
    HungProcessEnded,
    LoadStarted,
    RunEnded,
    TargetExited,
    TargetReady,
    TargetStarted,
    TargetStopping,
)
from ..history import History
from ..processes.process import processes, why_none

# Higher exit statuses stand for a signal.
_SIGNALLED = 128


@dataclass(frozen=True, slots=True)
class TargetReport:
    """The measured program. *exit* is negative for a signal, null when its end was not observed."""

    command: tuple[str, ...]
    pid: int | None
    exit: int | None
    ended_by_itself: bool = False  # its work was over: no load, no signal, and nobody stopped it
    log: str = ""  # the file with its output, relative to the run's folder; "" if it was not kept
    last_lines: tuple[str, ...] = ()  # of its output, if it ended without being asked to


def target(history: History) -> TargetReport:
    """The target's command and process."""
    started, exited = history.last(TargetStarted), history.last(TargetExited)
    return TargetReport(
        command=history.run.command,
        pid=started.pid if started else None,
        exit=exited.status if exited else None,
        ended_by_itself=ended_by_itself(history),
        log=exited.log if exited else "",
        last_lines=exited.last_lines if exited else (),
    )


def ended_by_itself(history: History) -> bool:
    """Whether the target ran until its work was over, so that its totals, not its rates, tell how fast it is.

    False for a service: under load, or stopped by a signal.
    """
    exited = history.last(TargetExited)
    was_asked, was_loaded = bool(history.of(TargetStopping)), bool(history.of(LoadStarted))
    if exited is None or was_asked or was_loaded:
        return False
    # A shell, and a program that handles the signal, end with 128 and its number.
    return 0 <= exited.status <= _SIGNALLED


def crash(history: History) -> TargetExited | None:
    """The exit of a target that failed without being asked to end; `None` for any other exit."""
    exited = history.last(TargetExited)
    return exited if exited is not None and not exited.expected and exited.status != 0 else None


def hung(history: History) -> HungProcessEnded | None:
    """How `--hang-exit` ended the target; `None` if it ended otherwise."""
    exited, started = crash(history), history.last(TargetStarted)
    ends = (end for end in history.of(HungProcessEnded) if started is not None and end.pid == started.pid)
    return next(ends, None) if exited is not None else None


def failed(history: History) -> bool:
    """Whether the run was aborted because the target did not become ready, or ended early."""
    ended, exited = history.last(RunEnded), history.last(TargetExited)
    if ended is None or not ended.error:
        return False
    return not history.of(TargetReady) or (exited is not None and not exited.expected)


def unwatched(history: History) -> str:
    """Why nothing is known of any loop; "" when at least one was timed."""
    if any(loop.page is not None and loop.started.mechanism != "unseen" for loop in history.loops):
        return ""
    return why_none(processes(history))
