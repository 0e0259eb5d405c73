"""Nobody is served: tasks wait for a lock, a semaphore, a full queue or a pool that serves none of them."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import Coroutine, Frame, TasksAtPlace
from ...stacks.ownership import CodeOwnership, Owner
from ..evidence import Evidence
from ..figures.standstill import Stood, stood
from ..finding import Cost, CostUnit, Finding, Level
from ..place import blamed, function_at
from ..units import duration, plural

ORDER = 35

_NEXT = {
    "itself": "Do not enter the lock again inside of it: call a function that expects to be inside.",
    "circle": "Take the locks in the same order everywhere, and await no task that needs one of them inside.",
    "feeders": "Let no task that gets from the queue wait for room in it: put from another task.",
    "undone": "Call task_done for each item that was taken, in a finally that begins right after the get.",
    "gone": "Take it by `async with`, so that a task that ends, fails or is cancelled gives it back.",
}
_OTHERWISE = (
    "Bound the wait in time, and give back what was taken, also where the work fails or is cancelled."
)
# The tasks that wait here are too many after a while, and their clients give up and cancel them. What never
# ends may keep those from their work who empty a queue.
_SYMPTOMS = ("tasks", "growth")


def findings(evidence: Evidence) -> Iterator[Finding]:
    """A warning for each place; a note where those inside are at work."""
    for one in stood(evidence.history):
        yield _finding(one, evidence.history.ownership(one.pid))


def _finding(one: Stood, ownership: CodeOwnership) -> Finding:
    own, near = _lines(one.coroutine, ownership)
    at = function_at(own, ownership)
    if near is not None and near != own:
        at += f", in {function_at(near, ownership)}"
    message = (
        f"{plural(one.waiting.count, 'task')} of {one.coroutine.name} waited for {_thing(one)} at {at}: "
        f"none was served for {duration(one.stood_s * 1000)}"
    )
    if one.arrived:
        message += f", in which {one.arrived:,} of them came"
    message += _why(one, ownership)
    if one.times > 1:
        message += f"; this happened {plural(one.times, 'time')}"
    is_slow = one.works and not one.cause
    return Finding(
        "standstills",
        Level.NOTE if is_slow else Level.WARNING,
        message,
        *blamed(own),
        cost=Cost(one.stood_s, CostUnit.STOOD_S),
        next=_NEXT.get(one.cause, _OTHERWISE),
        explains=() if is_slow else _SYMPTOMS if one.cause else _SYMPTOMS[:1],
    )


def _thing(one: Stood) -> str:
    match one.what:
        case "Queue.put":
            return f"room in a full {one.thing}"
        case "Queue.get":
            return f"an item of a {one.thing}"
        case "Queue.join":
            return f"the end of a {one.thing}"
    return f"a {one.thing}" if one.thing else "a pool"


def _why(one: Stood, ownership: CodeOwnership) -> str:
    if one.cause == "gone":
        thing = one.thing or "lock"
        return f"; no task that lives has the {thing}: whoever took it ended without giving it back"
    if one.cause == "feeders":
        return "; a deadlock: all that get from it wait for room in it themselves"
    if one.cause == "undone":
        return "; it is empty, nobody is at work at its items, and task_done was not called for all of them"
    if not one.holders:
        return ""
    holder = one.holders[0]
    who = f"task {holder.tasks[0]} of {holder.coroutine.name}" if holder.tasks else holder.coroutine.name
    if one.cause == "itself":
        return f"; a deadlock: {who} holds the lock itself, entered {_entered(holder, ownership)}"
    where = f"which waits at {_place(holder, ownership)}"
    if one.cause == "circle":
        return f"; a deadlock: it is held by {who}, {where} for what only those that wait for it can give"
    more = f" and {plural((one.held_by or 1) - 1, 'other task')}" if (one.held_by or 0) > 1 else ""
    return f"; it is held by {who}{more}, {where}"


def _entered(holder: TasksAtPlace, ownership: CodeOwnership) -> str:
    """Both ends of a wait for oneself: the two innermost functions outside of Python's own code."""
    frames = _outside(holder.coroutine, ownership)[-2:]
    return " and again ".join(f"in {function_at(frame, ownership)}" for frame in frames) or "further out"


def _place(tasks: TasksAtPlace, ownership: CodeOwnership) -> str:
    own, near = _lines(tasks.coroutine, ownership)
    at = function_at(own, ownership)
    return f"{at}, in {function_at(near, ownership)}" if near is not None and near != own else at


def _lines(of: Coroutine, ownership: CodeOwnership) -> tuple[Frame, Frame | None]:
    """The innermost line of the program's own code, and of any code but Python's own."""
    own = [frame for frame in of.stack if ownership.is_application(frame)]
    outside = _outside(of, ownership)
    first = (own[-1:] or outside[-1:] or list(of.stack[:1]) or [Frame(of.file, of.line, of.name)])[0]
    return first, outside[-1] if outside else None


def _outside(of: Coroutine, ownership: CodeOwnership) -> list[Frame]:
    return [frame for frame in of.stack if ownership.owner(frame.file) not in (Owner.PYTHON, Owner.IMPORT)]
