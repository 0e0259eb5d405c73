"""Tasks that died of an exception nobody has looked at, and the work that waits for them."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import Coroutine, Frame
from ...stacks.ownership import CodeOwnership
from ..evidence import Evidence
from ..figures.death import UNSEEN_S, Death, deaths
from ..finding import Cost, CostUnit, Finding, Level
from ..place import blamed, function_at
from ..units import duration, plural

ORDER = 36


def findings(evidence: Evidence) -> Iterator[Finding]:
    """A warning for those that are missed or forgotten, a note for those that somebody may look at."""
    for death in deaths(evidence.history):
        yield _finding(death, evidence.history.ownership(death.pid))


def _finding(death: Death, ownership: CodeOwnership) -> Finding:
    own = [frame for frame in death.stack if ownership.is_application(frame)] or list(death.stack[-1:])
    who = f"{plural(death.count, 'task')} of {death.coroutine.name}"
    message = f"{who} died of an exception that nobody has looked at: {death.error}"
    if own:
        message += f", raised in {function_at(own[-1], ownership)}"
    unseen = duration(death.unseen_s * 1000)
    if death.queue:
        message += f"; nobody else gets from its {death.queue}, which has {plural(death.queued, 'item')}"
        if death.putters:
            message += (
                f", and {plural(death.putters, 'task')} waited for room in it{_at(death.putter, ownership)}"
            )
        message += f" {unseen} after the death"
    elif death.at_barrier:
        message += (
            f"; {plural(death.at_barrier, 'task')} waited for it at a barrier{_at(death.party, ownership)}"
        )
        message += f" {unseen} after the death"
    else:
        message += f"; it had been dead for {unseen} at the last look"
    is_noted = not death.is_missed and (death.keeper != "" or death.unseen_s < UNSEEN_S)
    at = own[-1] if own else Frame(death.coroutine.file, death.coroutine.line, death.coroutine.name)
    return Finding(
        "deaths",
        Level.NOTE if is_noted else Level.WARNING,
        message,
        *blamed(at),
        cost=Cost(death.count + death.queued + death.putters + death.at_barrier, CostUnit.LOST),
        next=f"Handle the error inside {death.coroutine.name}, or watch the task and start it again.",
        # What it served piles up, and those who wait for it become too many.
        explains=("growth", "standstills", "tasks") if death.is_missed else (),
    )


def _at(of: Coroutine | None, ownership: CodeOwnership) -> str:
    if of is None:
        return ""
    own = [frame for frame in of.stack if ownership.is_application(frame)] or list(of.stack[:1])
    return f" at {function_at(own[-1], ownership)}" if own else ""
