"""Processes that were asked to end and did not, and what they waited for; and what threads kept running.

A process that ended by itself is left out, because a slow shutdown may be intended. A process that went on as
before is only a note, because a program may use the signal for something else. So is one whose threads still
did something when its main thread had ended.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import Frame, ProcessExiting, ShutdownStalled, TargetExited, TargetStarted
from ...stacks.ownership import CodeOwnership
from ..evidence import Evidence
from ..figures.lasting_thread import LastingThread, is_idle, lasting_threads, place
from ..finding import Cost, CostUnit, Finding, Level
from ..history import History
from ..place import blamed, function_at
from ..units import duration, ms, plural

ORDER = 30

# The runner itself waits this long for a target before it sends SIGKILL.
_PATIENCE_NS = 5_000_000_000
# A process that is interrupted sooner, though its threads wait for nothing, may have been about to end.
_STUCK_MS = 2_000.0
# How many kinds of other pending tasks are named.
_NAMED = 3


def findings(evidence: Evidence) -> Iterator[Finding]:
    """What kept a process from ending, if it had to be killed or still ran when the record ended."""
    history = evidence.history
    for last in _unended(history):
        why, where = _why(last, history.ownership(last.pid))
        who = "the target" if _exit(last, history) is not None else f"process {last.pid}"
        after_ms = ms(_end_ns(last, history) - last.asked_ns)
        message = (
            f"{who} was still running {duration(after_ms)} after it was asked to end by {last.signal}: {why}"
        )
        if went_on_as_before := _stands_as_before(last):
            message += ", as it was when the signal came"
        level = Level.NOTE if went_on_as_before else Level.WARNING
        yield Finding(
            "ending",
            level,
            message,
            *blamed(where),
            cost=Cost(after_ms / 1000, CostUnit.STOOD_S),
            next="Give what it waits for a time limit, and cancel it when that is over.",
        )
    asked = {state.pid for state in history.of(ShutdownStalled)}
    for lasting in lasting_threads(history):
        if lasting.pid not in asked:
            yield _lasting(lasting, history.ownership(lasting.pid))


def _lasting(lasting: LastingThread, ownership: CodeOwnership) -> Finding:
    """A warning if it would have lasted for ever; a program may do the rest of its work so."""
    who, frame = lasting.who, lasting.frame
    is_stuck = lasting.never_ends and lasting.was_ended and lasting.after_ms >= _STUCK_MS
    does = "waits" if is_stuck else "was"
    message = (
        f"process {lasting.pid} ran on for {duration(lasting.after_ms)} after its main thread: "
        f"{who} {does} in {function_at(frame, ownership)}"
    )
    if is_stuck:
        message += ", and nothing wakes it up any more"
        message += f"; nor {plural(lasting.others, 'other thread')}" if lasting.others else ""
    return Finding(
        "ending",
        Level.WARNING if is_stuck else Level.NOTE,
        message,
        *blamed(frame),
        cost=Cost(lasting.after_ms / 1000, CostUnit.STOOD_S),
        next=f"Close what started {who} before the loop ends, or make it a daemon thread."
        if is_stuck
        else "",
    )


def _unended(history: History) -> list[ShutdownStalled]:
    """The last state of each process that was asked to end, kept running, and did not end by itself."""
    latest = {state.pid: state for state in history.of(ShutdownStalled)}
    return [
        state
        for state in latest.values()
        if _end_ns(state, history) - state.asked_ns >= _PATIENCE_NS and not _ended_well(state, history)
    ]


def _ended_well(last: ShutdownStalled, history: History) -> bool:
    exited = _exit(last, history)
    if exited is not None and exited.status >= 0:
        return True
    closed = (s.closed for s in history.sources if s.opened is not None and s.opened.pid == last.pid)
    leaving = (event for event in history.of(ProcessExiting) if event.pid == last.pid)
    return any(event is not None and event.at_ns >= last.at_ns for event in (*closed, *leaving))


def _end_ns(last: ShutdownStalled, history: History) -> int:
    """When the process ended, if that was observed, else when it was last known to run."""
    exited = _exit(last, history)
    return exited.at_ns if exited is not None else last.at_ns


def _exit(last: ShutdownStalled, history: History) -> TargetExited | None:
    started = history.last(TargetStarted)
    return history.last(TargetExited) if started is not None and started.pid == last.pid else None


def _stands_as_before(last: ShutdownStalled) -> bool:
    """Whether the main task waits at the same line as when the signal came."""
    before = last.before
    return before is not None and any(
        waiting.main and waiting.coroutine.stack == before.stack for waiting in last.waiting
    )


def _why(last: ShutdownStalled, ownership: CodeOwnership) -> tuple[str, Frame | None]:
    """What it waits for, and its innermost line outside the standard library."""
    found = [
        (f"{waiting.coroutine.name} waits in {function_at(frame, ownership)}", frame)
        for waiting in last.waiting
        if waiting.main and (frame := place(waiting.coroutine.stack, ownership))
    ]
    if not found:
        # The loop has ended, or waits for the threads of its executor.
        found = [
            (f"thread {lasting.thread} is in {function_at(frame, ownership)}", frame)
            for lasting in last.threads
            if not is_idle(lasting) and (frame := place(lasting.stack, ownership) or lasting.stack[-1])
        ]
    others = [waiting for waiting in last.waiting if not waiting.main]
    if not found and not others and (frame := place(last.stack, ownership)):
        found = [(f"its main thread is in {function_at(frame, ownership)}", frame)]
    where = found[0][1] if found else None
    parts = [text for text, _ in found]
    if others:
        named = []
        for waiting in others[:_NAMED]:
            frame = place(waiting.coroutine.stack, ownership)
            where = where or frame
            named.append(waiting.coroutine.name + (f" in {function_at(frame, ownership)}" if frame else ""))
        count = last.pending - sum(waiting.count for waiting in last.waiting if waiting.main)
        parts.append(f"{plural(count, 'other task' if found else 'task')} pending: {', '.join(named)}")
    return "; ".join(parts) or "what it waited for is not known", where
