"""The synchronous calls on the threads of loops: the probe's counts (`CallsCounted`), by what is accepted."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import CallsCounted, Frame
from ..calls.allowlist import Accepted, Allowlist
from ..calls.call import Call
from ..finding import Finding
from ..history import History
from ..units import duration, ms, plural

# In the settings of a run that counts calls: what was accepted when it began.
SETTING = "calls"
# A report shows a few of the arguments; rules were asked about each that the record has.
ARGUMENTS = 5

_Key = tuple[str, Frame, str, Allowlist | None]


def accepted(history: History) -> Accepted:
    """What was accepted when the run began."""
    settings = history.run.settings.get(SETTING)
    return Accepted.of_settings(settings) if isinstance(settings, dict) else Accepted()


def calls(history: History, accept: Accepted) -> tuple[Call, ...] | None:
    """The calls by line and coroutine, new ones first, then by time; `None` when they were not counted."""
    if SETTING not in history.run.settings:
        return None
    groups: dict[_Key, list[CallsCounted]] = {}
    for made in _latest(history.of(CallsCounted)):
        # A place where some arguments are allowed and others are not is two entries.
        allowance = next((allow for allow in accept.allow if allow.covers(made)), None)
        frame = Frame(made.file, made.line, made.function)
        groups.setdefault((made.call, frame, made.caller, allowance), []).append(made)
    found = (_call(key, members, history, accept) for key, members in groups.items())
    return tuple(sorted(found, key=lambda call: (not call.new, -call.total_ms)))


def findings(found: tuple[Call, ...]) -> Iterator[Finding]:
    """A warning for each place that is neither allowed nor known, a note for the known ones."""
    for call in found:
        if call.allowed:
            continue
        took = f"{plural(call.count, 'time')}, {duration(call.total_ms)} in all"
        if not call.function:
            message = f"{call.call} was called on the loop at further places: {took}"
            yield Finding("calls", "note", message)
            continue
        message = f"{call.function} called {call.call} on the loop: {took}"
        level = "note" if call.known else "warning"
        yield Finding("calls", level, message, call.file, call.line)


def _latest(counts: list[CallsCounted]) -> Iterator[CallsCounted]:
    """Of each count the last that was written."""
    newest = {(c.pid, c.call, c.function, c.file, c.line, c.caller, c.argument): c for c in counts}
    yield from newest.values()


def _call(key: _Key, members: list[CallsCounted], history: History, accept: Accepted) -> Call:
    call, frame, caller, allowance = key
    ownership = history.ownership(members[0].pid)
    by_time = sorted(members, key=lambda made: -made.total_ns)
    return Call(
        call=call,
        function=frame.function,
        file=frame.file,
        line=frame.line,
        where=f"{ownership.short(frame.file)}:{frame.line}" if frame.file else "",
        caller=caller,
        arguments=tuple(dict.fromkeys(made.argument for made in by_time if made.argument))[:ARGUMENTS],
        count=sum(made.count for made in members),
        total_ms=ms(sum(made.total_ns for made in members)),
        max_ms=ms(max(made.max_ns for made in members)),
        allowed=allowance is not None,
        reason=allowance.reason if allowance else "",
        known=(call, frame.function) in accept.known,
    )
