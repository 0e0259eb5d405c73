"""What kept a process running after the end of its main thread: threads that Python waits for."""

from __future__ import annotations

from dataclasses import dataclass

from ...record.event import ExitDelayed, Frame, NonDaemonThread
from ...stacks.ownership import CodeOwnership
from ...stacks.turn_stack import TurnStack
from ..history import History
from ..units import ms

# The innermost frame of an idle executor thread.
_IDLE = ("concurrent/futures/thread.py", "_worker")


@dataclass(frozen=True, slots=True)
class LastingThread:
    """The threads for which a process lived on without its main thread."""

    pid: int
    thread: str  # the first one that is not idle
    frame: Frame  # its innermost line outside the standard library, else its innermost one
    others: int  # further threads
    after_ms: float  # how long the process lived on


def lasting_threads(history: History) -> tuple[LastingThread, ...]:
    """The processes that lived on for a second or longer, the longest first."""
    latest = {event.pid: event for event in history.of(ExitDelayed)}
    found = [_lasting(event, history) for event in latest.values() if event.threads]
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
    thread = next((one for one in event.threads if not is_idle(one)), event.threads[0])
    found = place(thread.stack, history.ownership(event.pid))
    frame = found or (thread.stack[-1] if thread.stack else Frame("", 0, ""))
    ended_ns = max([event.at_ns, *(loop.ended_ns for loop in history.loops if loop.started.pid == event.pid)])
    return LastingThread(
        event.pid, thread.thread, frame, len(event.threads) - 1, ms(ended_ns - event.since_ns)
    )
