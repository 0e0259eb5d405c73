"""What is missing from the record: writers cut off, events dropped, lines damaged."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import ProcessGone, RunEnded, WriterOpened, describe_status
from ..evidence import Evidence
from ..figures.damage import damages
from ..finding import Finding, Level
from ..history import History
from ..units import plural

ORDER = 10


def findings(evidence: Evidence) -> Iterator[Finding]:
    """Errors if the runner failed or the record is damaged; notes on what is missing."""
    history = evidence.history
    ended = history.last(RunEnded)
    if ended is not None and ended.error:
        message = f"the run could not be carried out as asked: {ended.error}"
        yield Finding("record", Level.ERROR, message, invalid=True)
    if ended is not None and ended.incomplete:
        message = f"the record is incomplete, because it could not be written: {ended.incomplete}"
        yield Finding("record", Level.ERROR, message, invalid=True)
    if damaged := tuple(damages(history)):
        more = f", and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        message = f"the record is damaged: {damaged[0]}{more}"
        yield Finding("record", Level.ERROR, message, invalid=True)
        yield from (Finding("record", Level.NOTE, text) for text in damaged[1:])
    for source in history.sources:
        opened, closed = source.opened, source.closed
        who = f"the {opened.role} (process {opened.pid})" if opened else source.path.name
        if closed is None:
            message = f"{who} was cut off{_by(opened, history)}: its last line is missing"
            message += ", and with it up to 100 ms of events"
            if opened is not None and opened.role == "target":
                message += ", what the probe cost, and profiles that are written at the end"
            yield Finding("record", Level.NOTE, message)
        elif closed.dropped:
            # Requests that are not in the record cannot be judged.
            is_driver = opened is not None and opened.role == "driver"
            level = Level.ERROR if is_driver else Level.WARNING
            message = f"{who} dropped {plural(closed.dropped, 'event')}"
            yield Finding("record", level, message, invalid=True)
        if source.unknown:
            unknown = plural(source.unknown, "event")
            yield Finding("record", Level.NOTE, f"{who} wrote {unknown} of a kind unknown to this version")


def _by(opened: WriterOpened | None, history: History) -> str:
    """By what a writer's process ended, such as " by SIGKILL"; "" if that is not known."""
    for gone in history.of(ProcessGone):
        if opened is not None and gone.pid == opened.pid and gone.began_ns <= opened.at_ns <= gone.at_ns:
            return f" {describe_status(gone.status)}" if gone.status is not None else ""
    return ""
