"""What held the loops, and what is not known about the blocks."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import DumpFailed
from ...stacks.interval import HARNESS
from ..evidence import Evidence
from ..figures.block_totals import unrecorded
from ..finding import Finding, Level
from ..units import duration, plural

ORDER = 70


def findings(evidence: Evidence) -> Iterator[Finding]:
    """One warning per place that blocked, worst first; notes on what is not known about the blocks."""
    history, blocks = evidence.history, evidence.blocks
    for place in evidence.blockers:
        times = plural(place.count, "time")
        if place.function == HARNESS.function:
            message = (
                f"the console held the loop {times} for up to {duration(place.max_ms)}, as it was asked to"
            )
            yield Finding("blocks", Level.NOTE, message)
            continue
        message = f"{place.function} held the loop {times} for up to {duration(place.max_ms)} ({place.cause})"
        yield Finding("blocks", Level.WARNING, message, place.file or None, place.line or None)
    gone = {(loop.started.pid, loop.started.loop) for loop in history.loops if loop.is_gone}
    for block in blocks:
        if not block.ended:
            message = f"when the record ended, process {block.pid} was inside this block"
            if (block.pid, block.loop) in gone:
                message = f"process {block.pid} ended inside this block"
            message += f", which had held the loop for {duration(block.held_ms)}"
            yield Finding("blocks", Level.NOTE, message, block.file or None, block.line or None)
    failed = history.last(DumpFailed)
    if failed is not None and any(block.cause == "gil" for block in blocks):
        message = f"no sample from outside ({failed.reason}): the GIL's holder is inferred from CPU time"
        yield Finding("blocks", Level.NOTE, message)
    if missing := unrecorded(history, evidence.loop):
        unseen = plural(missing, "turn")
        yield Finding("blocks", Level.NOTE, f"{unseen} over the limit counted but not recorded")
