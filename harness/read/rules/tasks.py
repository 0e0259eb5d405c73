"""Lost work: leaked, destroyed and uncancellable tasks, unhandled exceptions, coroutines never awaited."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import CancelSwallowed, Coroutine, ExceptionLost, Frame, NeverAwaited, TaskDestroyed
from ...stacks.ownership import CodeOwnership
from ...stacks.turn_stack import TurnStack
from ..evidence import Evidence
from ..figures import task
from ..finding import Finding, Level
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


def _leak(leak: task.Leak, ownership: CodeOwnership) -> Finding:
    where = _waiting(leak.coroutine, ownership)
    left = f"{leak.left:,}" if leak.left else "none"
    message = (
        f"{plural(leak.count, 'task')} of {leak.coroutine.name} wait at {_short(where, ownership)}: "
        f"they arrived from {leak.from_s:.1f} s to {leak.to_s:.1f} s into the run, and {left} of them left"
    )
    if leak.connected:
        message += "; as many files or sockets were opened, so they may serve connections"
    return _found(Level.NOTE if leak.connected else Level.WARNING, message, leak.coroutine, where, ownership)


def _cancelled(late: task.Cancelled, ownership: CodeOwnership) -> Finding:
    where = _waiting(late.coroutine, ownership)
    who = f"{plural(late.count, 'task')} of {late.coroutine.name}"
    at = f"at {_short(where, ownership)}, at least {duration(late.after_ms)} after the cancellation"
    if late.pending:
        level, message = Level.WARNING, f"{who} cancelled but still pending {at}"
    else:
        level, message = Level.NOTE, f"{who} slow to end: still pending {at}"
    return _found(level, message, late.coroutine, where, ownership)


def _destroyed(loss: TaskDestroyed, ownership: CodeOwnership) -> Finding:
    # Usually its definition: the collector closes a coroutine before it finds the task.
    where = _waiting(loss.coroutine, ownership)
    message = (
        f"{plural(loss.count, 'task')} of {loss.coroutine.name} ({_short(where, ownership)}) "
        "destroyed while pending: no reference to it was kept"
    )
    return _found(Level.WARNING, message, loss.coroutine, where, ownership)


def _exception(loss: ExceptionLost, ownership: CodeOwnership) -> Finding:
    own = [frame for frame in loss.stack if ownership.is_application(frame)] or loss.stack[-1:]
    who = f" of {loss.coroutine.name}" if loss.coroutine else ""
    message = f"{plural(loss.count, 'exception')}{who} went unhandled: {loss.error}"
    if own:
        message += f", raised in {own[-1].function} ({_short(own[-1], ownership)})"
    message += f"; asyncio reported: {loss.message}"
    at = own[-1] if own else loss.coroutine
    file, line = (at.file or None, at.line or None) if at is not None else (None, None)
    return Finding("tasks", Level.WARNING, message, file, line)


def _unawaited(loss: NeverAwaited, ownership: CodeOwnership) -> Finding:
    coroutine, times = loss.coroutine, plural(loss.count, "time")
    where = TurnStack(loss.stack, ownership).blamed or _definition(coroutine)
    message = (
        f"coroutine {coroutine.name} ({_short(_definition(coroutine), ownership)}) was never awaited, "
        f"{times}: dropped at {_short(where, ownership)}"
    )
    return _found(Level.WARNING, message, coroutine, where, ownership)


def _swallowed(loss: CancelSwallowed) -> Finding:
    tasks = f"{plural(loss.count, 'task')} of {loss.coroutine.name}"
    message = f"{tasks} swallowed a cancellation: cancelled, but ended normally"
    return Finding("tasks", Level.NOTE, message, loss.coroutine.file or None, loss.coroutine.line or None)


def _found(
    level: Level, message: str, coroutine: Coroutine, where: Frame, ownership: CodeOwnership
) -> Finding:
    """The finding, at the line that created the coroutine if that is known, else at *where*."""
    made = [frame for frame in coroutine.created if ownership.is_application(frame)]
    if made:
        message += f"; created in {made[-1].function} ({_short(made[-1], ownership)})"
        where = made[-1]
    return Finding("tasks", level, message, where.file or None, where.line or None)


def _waiting(coroutine: Coroutine, ownership: CodeOwnership) -> Frame:
    """The innermost line of the program's own code, else of the coroutine itself."""
    own = [frame for frame in coroutine.stack if ownership.is_application(frame)]
    return (own[-1:] or list(coroutine.stack[:1]) or [_definition(coroutine)])[0]


def _definition(coroutine: Coroutine) -> Frame:
    return Frame(coroutine.file, coroutine.line, coroutine.name)


def _short(frame: Frame, ownership: CodeOwnership) -> str:
    return f"{ownership.short(frame.file)}:{frame.line}" if frame.file else "an unknown line"
