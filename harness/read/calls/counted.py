"""The synchronous calls on the threads of loops: the probe's counts against the allowlist."""

from __future__ import annotations

from ...record.event import CallsCounted, Frame
from ..figures.target import unwatched
from ..history import History
from ..units import ms
from .allowlist import SETTING, AllowedCall, Allowlist
from .call import Call

# The report shows a few of the arguments; the allowlist is matched against every argument in the record.
ARGUMENTS = 5

_Key = tuple[str, Frame, str, AllowedCall | None]


def counted_calls(history: History, allowlist: Allowlist) -> tuple[Call, ...] | None:
    """The calls by line and coroutine, new ones first, then by time; `None` when they were not counted."""
    if SETTING not in history.run.settings or history.left_out("calls"):
        return None
    groups: dict[_Key, list[CallsCounted]] = {}
    counts = history.of(CallsCounted)  # cumulative, so the newest event of each count replaces the others
    if not counts and unwatched(history):
        return None
    newest = {(c.pid, c.call, c.function, c.file, c.line, c.caller, c.argument): c for c in counts}
    for made in newest.values():
        # A place is two entries if only some of its arguments are allowed.
        allowed = next((entry for entry in allowlist.allow if entry.covers(made)), None)
        frame = Frame(made.file, made.line, made.function)
        groups.setdefault((made.call, frame, made.caller, allowed), []).append(made)
    found = (_call(key, members, history, allowlist) for key, members in groups.items())
    return tuple(sorted(found, key=lambda call: (not call.new, -call.total_ms)))


def _call(key: _Key, members: list[CallsCounted], history: History, allowlist: Allowlist) -> Call:
    call, frame, caller, allowed = key
    by_time = sorted(members, key=lambda made: -made.total_ns)
    return Call(
        call=call,
        function=frame.function,
        file=frame.file,
        line=frame.line,
        where=f"{history.ownership(members[0].pid).short(frame.file)}:{frame.line}" if frame.file else "",
        caller=caller,
        arguments=tuple(dict.fromkeys(made.argument for made in by_time if made.argument))[:ARGUMENTS],
        count=sum(made.count for made in members),
        total_ms=ms(sum(made.total_ns for made in members)),
        max_ms=ms(max(made.max_ns for made in members)),
        allowed=allowed is not None,
        reason=allowed.reason if allowed else "",
        known=(call, frame.function) in allowlist.known,
    )
