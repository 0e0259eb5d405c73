"""Lost work: leaked, destroyed and uncancellable tasks, unhandled exceptions, coroutines never awaited."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...record.event import (
    CancelSwallowed,
    Coroutine,
    ExceptionLost,
    Frame,
    NeverAwaited,
    ProbeClosed,
    TaskDestroyed,
)
from ...stacks.ownership import CodeOwnership
from ...stacks.turn_stack import TurnStack
from ..evidence import Evidence
from ..figures import task
from ..finding import Cost, CostUnit, Finding, Level
from ..place import blamed, function_at, line_of
from ..units import duration, plural

ORDER = 90


def findings(evidence: Evidence) -> Iterator[Finding]:
    """Warnings for lost work, notes for what may be intended."""
    history = evidence.history
    for leak in evidence.leaks:
        yield _leak(leak, history.ownership(leak.pid))
    for late in task.cancelled(history):
        yield _cancelled(late, history.ownership(late.pid))
    for destroyed in task.latest(history.of(TaskDestroyed)):
        yield _destroyed(destroyed, history.ownership(destroyed.pid))
    for lost in task.latest(history.of(ExceptionLost)):
        yield _exception(lost, history.ownership(lost.pid))
    for unawaited in task.latest(history.of(NeverAwaited)):
        yield _unawaited(unawaited, history.ownership(unawaited.pid))
    for swallowed in task.latest(history.of(CancelSwallowed)):
        yield _swallowed(swallowed)
    for closed in history.of(ProbeClosed):
        if closed.losses_dropped:
            yield _dropped(closed.losses_dropped)


def _leak(leak: task.Leak, ownership: CodeOwnership) -> Finding:
    where = _waiting(leak.coroutine, ownership)
    left = f"{leak.left:,}" if leak.left else "none"
    message = (
        f"{plural(leak.count, 'task')} of {leak.coroutine.name} wait at {line_of(where, ownership)}: "
        f"they arrived from {leak.from_s:.1f} s to {leak.to_s:.1f} s into the run, and {left} of them left"
    )
    if leak.connected:
        message += "; as many files or sockets were opened, so they may serve connections"
    level = Level.NOTE if leak.connected else Level.WARNING
    found = _found(level, message, leak.coroutine, where, ownership)
    step = f"End these tasks when what they wait for is over, or give {leak.coroutine.name} a time limit."
    return replace(found, cost=Cost(leak.count, CostUnit.LOST), next=step)


def _cancelled(late: task.Cancelled, ownership: CodeOwnership) -> Finding:
    where = _waiting(late.coroutine, ownership)
    who = f"{plural(late.count, 'task')} of {late.coroutine.name}"
    at = f"at {line_of(where, ownership)}, at least {duration(late.after_ms)} after the cancellation"
    if late.pending:
        level, message = Level.WARNING, f"{who} cancelled but still pending {at}"
    else:
        level, message = Level.NOTE, f"{who} slow to end: still pending {at}"
    found = _found(level, message, late.coroutine, where, ownership)
    step = "Let CancelledError pass, or bound the clean-up in time."
    return replace(found, cost=Cost(late.count, CostUnit.LOST), next=step)


def _destroyed(loss: TaskDestroyed, ownership: CodeOwnership) -> Finding:
    # Usually its definition: the collector closes a coroutine before it finds the task.
    where = _waiting(loss.coroutine, ownership)
    message = (
        f"{plural(loss.count, 'task')} of {loss.coroutine.name} ({line_of(where, ownership)}) "
        "destroyed while pending: no reference to it was kept"
    )
    found = _found(Level.WARNING, message, loss.coroutine, where, ownership)
    step = "Keep a reference to each task until it is done, as asyncio.TaskGroup does."
    return replace(found, cost=Cost(loss.count, CostUnit.LOST), next=step)


def _exception(loss: ExceptionLost, ownership: CodeOwnership) -> Finding:
    own = [frame for frame in loss.stack if ownership.is_application(frame)] or loss.stack[-1:]
    who = f" of {loss.coroutine.name}" if loss.coroutine else ""
    message = f"{plural(loss.count, 'exception')}{who} went unhandled: {loss.error}"
    if own:
        message += f", raised in {function_at(own[-1], ownership)}"
    message += f"; asyncio reported: {loss.message}"
    at = own[-1] if own else loss.coroutine
    step = "Await the task or future, or give it a callback that looks at its exception."
    # What was cancelled was to be lost. Before 3.12, asyncio's own streams report each of their handlers that
    # the end of the loop cancels.
    level = Level.NOTE if loss.error.partition(":")[0] == "CancelledError" else Level.WARNING
    return Finding("tasks", level, message, *blamed(at), cost=Cost(loss.count, CostUnit.LOST), next=step)


def _unawaited(loss: NeverAwaited, ownership: CodeOwnership) -> Finding:
    coroutine, times = loss.coroutine, plural(loss.count, "time")
    where = TurnStack(loss.stack, ownership).blamed or _definition(coroutine)
    message = (
        f"coroutine {coroutine.name} ({line_of(_definition(coroutine), ownership)}) was never awaited, "
        f"{times}: dropped at {line_of(where, ownership)}"
    )
    found = _found(Level.WARNING, message, coroutine, where, ownership)
    step = f"Await {coroutine.name}, or make it a task."
    return replace(found, cost=Cost(loss.count, CostUnit.LOST), next=step)


def _swallowed(loss: CancelSwallowed) -> Finding:
    tasks = f"{plural(loss.count, 'task')} of {loss.coroutine.name}"
    message = f"{tasks} swallowed a cancellation: cancelled, but ended normally"
    return Finding("tasks", Level.NOTE, message, *blamed(loss.coroutine))


def _dropped(count: int) -> Finding:
    message = f"{count:,} more tasks, exceptions or coroutines were lost, of more kinds than are told apart"
    # Without a cost: it has no line, so that one that has is the verdict.
    return Finding("tasks", Level.WARNING, message)


def _found(
    level: Level, message: str, coroutine: Coroutine, where: Frame, ownership: CodeOwnership
) -> Finding:
    """The finding, at the line that created the coroutine if that is known, else at *where*."""
    made = [frame for frame in coroutine.created if ownership.is_application(frame)]
    if made:
        message += f"; created in {function_at(made[-1], ownership)}"
        where = made[-1]
    return Finding("tasks", level, message, *blamed(where))


def _waiting(coroutine: Coroutine, ownership: CodeOwnership) -> Frame:
    """The innermost line of the program's own code, else of the coroutine itself."""
    own = [frame for frame in coroutine.stack if ownership.is_application(frame)]
    return (own[-1:] or list(coroutine.stack[:1]) or [_definition(coroutine)])[0]


def _definition(coroutine: Coroutine) -> Frame:
    return Frame(coroutine.file, coroutine.line, coroutine.name)
