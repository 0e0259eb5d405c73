"""The blocks that the console can show: the latest late turns, diagnosed as the report does."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...record import page
from ...record.clock import monotonic_ns
from ...record.observation import Blocked, Frame
from ...record.value import replace
from ...stacks.cause import Cause
from ...stacks.diagnosis import Diagnosis, diagnose
from ..gil_yield import GilYielder

if TYPE_CHECKING:
    from .process import ProcessView


@dataclass(frozen=True, slots=True)
class BlockSummary:
    """One block, and the late turn that it is a part of."""

    turn: Blocked
    found: Diagnosis

    @property
    def held_ms(self) -> float:
        return self.found.held_ns / 1e6

    @property
    def place(self) -> tuple[Frame, Cause]:
        """The key that groups blocks, here as in the report: the line to blame, and the cause."""
        return self.found.frame, self.found.cause


@dataclass(slots=True)
class BlockerSummary:
    """All blocks at one line with one cause."""

    worst: BlockSummary  # the longest
    count: int = 0
    total_ms: float = 0.0

    def add(self, block: BlockSummary) -> None:
        """Count one more of its blocks."""
        self.count += 1
        self.total_ms += block.held_ms
        if block.held_ms > self.worst.held_ms:
            self.worst = block


def kept(process: ProcessView) -> list[BlockSummary]:
    """The latest blocks, oldest first; one that has not ended lasts until now."""
    turns = list(process.recent.blocks())
    if turns and not all(turn.ended for turn in turns):
        now_ns = monotonic_ns()
        began = {(v.number, v.words[page.TURN] or v.words[page.DUE]) for v in process.loops()}
        turns = [
            replace(turn, held_ns=now_ns - turn.at_ns)
            if not turn.ended and (turn.loop, turn.at_ns) in began
            else turn
            for turn in turns
        ]
    blocks: list[BlockSummary] = []
    gil = GilYielder()
    for turn in turns:
        found = diagnose(turn, process.ownership, limit_ns=process.limit_ns)
        blocks += (BlockSummary(turn, block) for block in found)
        gil.maybe_yield()
    return blocks


def blockers(blocks: Iterable[BlockSummary]) -> list[BlockerSummary]:
    """The places that held the loops, the one with most time first."""
    found: dict[object, BlockerSummary] = {}
    for block in blocks:
        found.setdefault(block.place, BlockerSummary(block)).add(block)
    return sorted(found.values(), key=lambda blocker: -blocker.total_ms)


class BlockNumbers:
    """Numbers for the blocks that are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[tuple[int, int], int] = {}
        self._last = 0

    def of(self, blocks: Sequence[BlockSummary]) -> list[int]:
        """The number of each; those that are no longer kept are forgotten."""
        with self._lock:
            known: dict[tuple[int, int], int] = {}
            for block in blocks:
                key = (block.turn.loop, block.found.at_ns)
                if (number := self._numbers.get(key)) is None:
                    self._last = number = self._last + 1
                known[key] = number
            self._numbers = known
            return list(known.values())
