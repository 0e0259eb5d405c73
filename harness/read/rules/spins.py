"""Loops that spin: a processor burnt in turns that wait for nothing."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import Coroutine, Frame
from ...stacks.ownership import CodeOwnership
from ..evidence import Evidence
from ..finding import Cost, CostUnit, Finding, Level
from ..place import blamed, line_of
from ..spinning.spin import Spin
from ..units import duration, percent

ORDER = 25


def findings(evidence: Evidence) -> Iterator[Finding]:
    """A warning for each task, callback, timer or file that kept a loop spinning."""
    for spin in evidence.spins:
        yield _finding(spin, evidence.history.ownership(spin.pid))


def _finding(spin: Spin, ownership: CodeOwnership) -> Finding:
    message = (
        f"the loop spun for {duration(spin.lasted_s * 1000)} from {spin.from_s:.1f} s into the run, "
        f"{spin.turns_per_s:,.0f} turns per second and {percent(spin.cpu_share)} of a processor: "
        f"{_what(spin, ownership)}"
    )
    return Finding(
        "spins",
        Level.WARNING,
        message,
        *blamed(_where(spin, ownership)),
        cost=Cost(spin.burnt_s, CostUnit.BURNT_S),
        next=_next(spin),
    )


def _what(spin: Spin, ownership: CodeOwnership) -> str:
    """What runs again and again, its line in the program, and beside it the one in the library."""
    who = f"{spin.count:,} × {spin.name}" if spin.count > 1 else spin.name
    if spin.coroutine is not None:
        places = [ownership.place(frame) for frame in _frames(spin.coroutine, ownership)]
        waits = "is woken up at once" if spin.is_timer else "waits for nothing"
        return f"{who} {waits} at {', in '.join(places)}" if places else f"{who} {waits}"
    at = f" ({line_of(spin.callback, ownership)})" if spin.callback is not None else ""
    if spin.file:
        return f"{who}{at} is called for a file that is always ready: {spin.file}"
    again = "is a timer that is due at once" if spin.is_timer else "schedules itself again at each turn"
    return f"{who}{at} {again}{_about(spin, ownership)}"


def _about(spin: Spin, ownership: CodeOwnership) -> str:
    """The program's task that a library's callback is about."""
    for coroutine in spin.about:
        if own := _own(coroutine, ownership):
            return f", for the task of {coroutine.name} at {line_of(own[-1], ownership)}"
    return ""


def _frames(coroutine: Coroutine, ownership: CodeOwnership) -> list[Frame]:
    """The innermost line of the program, and the innermost one of all if that is another's."""
    own = _own(coroutine, ownership)
    return list(dict.fromkeys([*own[-1:], *_library(coroutine, ownership)]))


def _own(coroutine: Coroutine, ownership: CodeOwnership) -> list[Frame]:
    """The lines of the program; without any, those that are no library's either."""
    own = [frame for frame in coroutine.stack if ownership.is_application(frame)]
    return own or [frame for frame in coroutine.stack if not ownership.is_library(frame)]


def _library(coroutine: Coroutine, ownership: CodeOwnership) -> tuple[Frame, ...]:
    """The innermost line of an installed package, else of any other code."""
    installed = [frame for frame in coroutine.stack if ownership.is_installed(frame)]
    return tuple((installed or coroutine.stack)[-1:])


def _where(spin: Spin, ownership: CodeOwnership) -> Frame | None:
    if spin.coroutine is not None:
        frames = _frames(spin.coroutine, ownership)
        return frames[0] if frames else Frame(spin.coroutine.file, spin.coroutine.line, spin.name)
    return spin.callback


def _next(spin: Spin) -> str:
    if spin.file:
        return f"Let {spin.name} take all that is there, or remove it from the loop when the file has ended."
    if spin.coroutine is None:
        return f"Let {spin.name} be called only when there is something to do, or give it a delay."
    return f"Let {spin.name} wait for what it polls, and end when its input has ended."
