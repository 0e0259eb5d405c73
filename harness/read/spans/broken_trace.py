"""Where traces end: the places at which a span handed work over whose own spans have no parent."""

from __future__ import annotations

from dataclasses import dataclass

from ...record.event import Frame, SpansCutOff
from ..figures.lasting_thread import place
from ..history import History

# Work that was handed over once may be a thread that was started for all requests by the first one.
LEAST_WORKS = 2


@dataclass(frozen=True, slots=True)
class BrokenTrace:
    """A place at which traces end."""

    how: str  # as in `SpansCutOff`
    span: str  # whose trace ends
    where: Frame  # the line that handed the work over
    pid: int
    work: str  # the function
    roots: tuple[str, ...]  # the names of the spans without a parent, most frequent first
    count: int  # of these spans


def broken_traces(history: History) -> tuple[BrokenTrace, ...]:
    """The places at which the traces of at least two pieces of work end, most spans first."""
    latest = {(cut.pid, cut.at_ns, cut.span, cut.root): cut for cut in history.of(SpansCutOff)}
    by_place: dict[tuple[int, str, str, Frame], list[SpansCutOff]] = {}
    for cut in latest.values():
        by_place.setdefault((cut.pid, cut.how, cut.span, _where(cut, history)), []).append(cut)
    found = []
    for (pid, how, span, where), cuts in by_place.items():
        if sum(cut.works for cut in cuts) >= LEAST_WORKS:
            cuts.sort(key=lambda cut: -cut.count)
            roots = tuple(dict.fromkeys(cut.root for cut in cuts))
            count = sum(cut.count for cut in cuts)
            found.append(BrokenTrace(how, span, where, pid, cuts[0].work.function, roots, count))
    return tuple(sorted(found, key=lambda one: -one.count))


def _where(cut: SpansCutOff, history: History) -> Frame:
    """The innermost line of the program's own code, else of a library's."""
    ownership = history.ownership(cut.pid)
    own = [frame for frame in cut.stack if ownership.is_application(frame)]
    return own[-1] if own else place(cut.stack, ownership) or (cut.stack or (Frame("", 0, ""),))[-1]
