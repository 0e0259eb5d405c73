"""What kept a process running after its main thread: threads that Python waits for, and exit handlers."""

from __future__ import annotations

from dataclasses import dataclass

from ...record.event import (
    ExitDelayed,
    Frame,
    NonDaemonThread,
    ProcessGone,
    TargetExited,
    TargetStarted,
    TargetStopping,
)
from ...stacks.ownership import CodeOwnership
from ...stacks.turn_stack import TurnStack
from ..history import History
from ..units import ms

# The innermost frame of an idle executor thread.
_IDLE = ("concurrent/futures/thread.py", "_worker")


@dataclass(frozen=True, slots=True)
class LastingThread:
    """The threads, or the exit handler, for which a process lived on without its main thread."""

    pid: int
    who: str  # "thread mailer", the first one that is not idle; or "exit handler Spool.close"
    frame: Frame  # its innermost line outside the standard library, else its innermost one
    is_placed: bool  # whether that line is outside the standard library
    others: int  # further threads
    after_ms: float  # how long the process lived on
    never_ends: bool  # all of them wait for another thread without a time limit
    was_ended: bool  # a signal ended the process, or it outlived the record


def lasting_threads(history: History) -> tuple[LastingThread, ...]:
    """The processes that lived on for a second or longer, the longest first."""
    latest = {event.pid: event for event in history.of(ExitDelayed)}
    found = [_lasting(event, history) for event in latest.values() if event.threads or event.exit_handler]
    return tuple(sorted(found, key=lambda one: -one.after_ms))


def is_idle(thread: NonDaemonThread) -> bool:
    """Whether it is a thread of an executor that waits for work."""
    file, function = _IDLE
    stack = thread.stack
    return not stack or (stack[-1].file.endswith(file) and stack[-1].function == function)


def place(stack: tuple[Frame, ...], ownership: CodeOwnership) -> Frame | None:
    """The innermost line outside the standard library."""
    frames = reversed(TurnStack(stack, ownership).frames)
    return next((f for f in frames if not ownership.is_library(f) or ownership.is_installed(f)), None)


def _lasting(event: ExitDelayed, history: History) -> LastingThread:
    if event.threads:
        thread = next((one for one in event.threads if not is_idle(one)), event.threads[0])
        who, stack = f"thread {thread.thread}", thread.stack
    else:
        stack = event.exit_handler
        who = f"exit handler {stack[0].function}"
    found = place(stack, history.ownership(event.pid))
    ended_ns = _ended_ns(event.pid, history)
    seen_ns = max([event.at_ns, *(loop.ended_ns for loop in history.loops if loop.started.pid == event.pid)])
    return LastingThread(
        pid=event.pid,
        who=who,
        frame=found or (stack[-1] if stack else Frame("", 0, "")),
        is_placed=found is not None,
        others=max(0, len(event.threads) - 1),
        after_ms=ms((ended_ns or seen_ns) - event.since_ns),
        never_ends=bool(event.threads) and all(one.waits_for_another for one in event.threads),
        was_ended=ended_ns is None or _was_asked(event, history),
    )


def _ended_ns(pid: int, history: History) -> int | None:
    """When the process ended; `None` if that was not observed."""
    started, exited = history.last(TargetStarted), history.last(TargetExited)
    if started is not None and started.pid == pid:
        return exited.at_ns if exited is not None else None
    gone = _gone(pid, history)
    return gone.at_ns if gone is not None else None


def _was_asked(event: ExitDelayed, history: History) -> bool:
    started, stopping = history.last(TargetStarted), history.last(TargetStopping)
    if started is not None and started.pid == event.pid:
        return stopping is not None and stopping.at_ns >= event.since_ns
    gone = _gone(event.pid, history)
    return gone is not None and gone.status is not None and gone.status < 0


def _gone(pid: int, history: History) -> ProcessGone | None:
    return next((gone for gone in reversed(history.of(ProcessGone)) if gone.pid == pid), None)
