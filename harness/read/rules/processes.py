"""Processes of the run that were not watched, or outlived it."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import ProcessesUncounted
from ...record.process.mark import ATTACHED
from ..evidence import Evidence
from ..figures.target import unwatched
from ..finding import Finding, Level
from ..processes.process import count, explained, not_watched

ORDER = 5


def findings(evidence: Evidence) -> Iterator[Finding]:
    """An invalid measurement where a loop may have run unseen; a note on any other Python without a probe."""
    known = evidence.processes
    lost = not_watched(known)
    if none := unwatched(evidence.history):
        yield Finding("processes", Level.WARNING, none, invalid=bool(lost))
    elif lost:
        yield Finding("processes", Level.WARNING, lost, invalid=True)
    harmless = [p for p in known if p.python is not None and p.entered_by is None and not p.may_have_looped]
    if harmless and not none:
        message = f"{count(len(harmless))} of Python had no probe, and no loop was seen in it: "
        yield Finding("processes", Level.NOTE, message + explained(harmless))
    # Who attached to a process, or left it out, knows that it goes on.
    lasting = {one.pid for one in known if one.entered_by == ATTACHED}
    outlived = [
        one
        for one in known
        if one.outlived and (one.loops or one.python is not None) and not lasting & {one.pid, one.parent}
    ]
    if outlived:
        names = ", ".join(process.name for process in outlived[:3])
        more = f" and {len(outlived) - 3} more" if len(outlived) > 3 else ""
        message = f"{count(len(outlived))} outlived the run, and what came later is not recorded: "
        # A loop that still runs has not shown all that it does.
        has_loop = any(process.loops or process.may_have_looped for process in outlived)
        yield Finding("processes", Level.WARNING, f"{message}{names}{more}", invalid=has_loop)
    uncounted = evidence.history.last(ProcessesUncounted)
    if uncounted is not None:
        message = f"there were too many processes: {uncounted.count:,} were not followed"
        if uncounted.error:
            message = f"the processes of the run could not be followed to its end: {uncounted.error}"
        yield Finding("processes", Level.WARNING, message, invalid=True)
