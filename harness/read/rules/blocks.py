"""What held the loops, and what is not known about the blocks."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import DumpFailed
from ...stacks.cause import Cause
from ...stacks.interval import HARNESS
from ..blocks.advice import advice
from ..blocks.blocker import Blocker
from ..evidence import Evidence
from ..figures.block_totals import unrecorded
from ..finding import Cost, CostUnit, Finding, Level
from ..place import blamed
from ..units import duration, plural

ORDER = 70

# Lines that together hold the loop for this share of its time leave none for whoever empties a queue or gives
# back a lock: what the rules of these find is their doing.
MOST, STARVED = 0.5, ("growth", "standstills", "executors")
# What held the loop for no reason that is proven must have held it for so long.
UNPROVEN_MS = 1_000.0


def findings(evidence: Evidence) -> Iterator[Finding]:
    """One warning per place that blocked, worst first; notes on what is not known about the blocks."""
    history, blocks = evidence.history, evidence.blocks
    ran_ms = (evidence.loop.ran_s or evidence.duration_s) * 1000
    held_ms = sum(place.total_ms for place in evidence.blockers if place.cause != Cause.DESCHEDULED)
    is_busy = any(place.cause == Cause.DESCHEDULED for place in evidence.blockers)
    for place in evidence.blockers:
        if place.function == HARNESS.function:
            times = plural(place.count, "time")
            message = (
                f"the console held the loop {times} for up to {duration(place.max_ms)}, as it was asked to"
            )
            yield Finding("blocks", Level.NOTE, message)
            continue
        next_step = place.hint or advice(place.cause, place.waits_for).remedy
        if _is_the_machines(place, is_busy=is_busy):
            yield Finding("blocks", Level.NOTE, place.sentence, *blamed(place), next=next_step)
            continue
        yield Finding(
            "blocks",
            Level.WARNING,
            place.sentence,
            *blamed(place),
            cost=Cost(place.total_ms / 1000, CostUnit.STOOD_S),
            next=next_step,
            explains=STARVED if held_ms >= MOST * ran_ms else (),
        )
    gone = {(loop.started.pid, loop.started.loop) for loop in history.loops if loop.is_gone}
    for block in blocks:
        if not block.ended:
            message = f"when the record ended, process {block.pid} was inside this block"
            if history.is_live:
                message = f"process {block.pid} is inside this block"
            elif (block.pid, block.loop) in gone:
                message = f"process {block.pid} ended inside this block"
            verb = "has" if history.is_live else "had"
            message += f", which {verb} held the loop for {duration(block.held_ms)}"
            yield Finding("blocks", Level.NOTE, message, *blamed(block))
    failed = history.last(DumpFailed)
    if failed is not None and any(block.cause == "gil" for block in blocks):
        message = f"no sample from outside ({failed.reason}): the GIL's holder is inferred from CPU time"
        yield Finding("blocks", Level.NOTE, message)
    if missing := unrecorded(history, evidence.loop):
        unseen = plural(missing, "turn")
        yield Finding("blocks", Level.NOTE, f"{unseen} over the limit counted but not recorded")


def _is_the_machines(place: Blocker, *, is_busy: bool) -> bool:
    """Whether a busy machine held the loop there, or may have: it is no trouble of the service."""
    if place.cause == Cause.UNKNOWN:
        return is_busy or place.max_ms < UNPROVEN_MS
    return place.cause == Cause.DESCHEDULED
