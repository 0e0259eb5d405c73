"""The blocks in numbers, as far as they are known.

A loop counts its late turns itself, in its page. So a turn whose event is lost (its process was killed, or
the record is full) still counts as a block, with its length; whom it hurt is unknown then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..blocks.block import Block
from ..blocks.late_turn import late_turns
from ..history import History
from .loop import LoopFigures


@dataclass(frozen=True, slots=True)
class BlockTotals:
    """All null if no loop was timed; *total_ms* and *victims* also if a late turn has no event."""

    count: int | None
    max_held_ms: float | None  # 0 if there is none
    total_ms: float | None
    victims: int | None


def unrecorded(history: History, loop: LoopFigures) -> int:
    """How many turns the loops counted as late without an event in the record."""
    return max(0, (loop.blocked_turns or 0) - sum(turn.ended for turn in late_turns(history)))


def totals(history: History, blocks: Sequence[Block], loop: LoopFigures) -> BlockTotals:
    """The totals of *blocks*, and of the late turns that only the loops' counters know of."""
    if loop.blocked_turns is None and not blocks:
        return BlockTotals(None, None, None, None)
    longest_ms = max((block.held_ms for block in blocks), default=0.0)
    if missing := unrecorded(history, loop):
        return BlockTotals(len(blocks) + missing, max(longest_ms, loop.lag_ms.max or 0.0), None, None)
    return BlockTotals(
        count=len(blocks),
        max_held_ms=longest_ms,
        total_ms=round(sum(block.held_ms for block in blocks), 3),
        victims=sum(block.victims_total for block in blocks),
    )
