"""The places that block in one run or another: new, gone, more or less often, longer or shorter.

Blocks occur at random: the number in one run varies by about its square root. Only differences beyond twice
that count as changes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, variance

from ..blocks.block import Block

# Minimum number of blocks to estimate how much their lengths vary.
LEAST_BLOCKS = 4
# Minimum change of the mean length that is reported, as a share of it.
LEAST_APART = 0.05


class Trend(StrEnum):
    """How the blocks of one place changed."""

    NEW = "new"
    GONE = "gone"
    MORE = "more"
    FEWER = "fewer"
    LONGER = "longer"
    SHORTER = "shorter"
    SAME = "same"

    @property
    def improved(self) -> bool:
        """Whether the place blocks less than before."""
        return self in (Trend.GONE, Trend.FEWER, Trend.SHORTER)


@dataclass(frozen=True, slots=True)
class BlockChange:
    """One place that blocks in one run or in both."""

    function: str
    where: str
    base_count: int
    base_ms: float
    head_count: int
    head_ms: float
    change: Trend
    by_chance: bool  # the runs are too short, or the blocks too few, to be sure


def block_changes(
    base: Iterable[Block], head: Iterable[Block], base_s: float, head_s: float
) -> tuple[BlockChange, ...]:
    """The places of both runs, largest change of their time first.

    Args:
        base: The blocks of the other run.
        head: The blocks of the run that is reported.
        base_s: How long the loops of the other run ran.
        head_s: How long the loops of this run ran.
    """
    # By function and file, not by line, because code moves between versions.
    before, after = _by_function(base), _by_function(head)
    places = [
        _moved(key, before.get(key, []), after.get(key, []), base_s, head_s) for key in {**before, **after}
    ]
    return tuple(sorted(places, key=lambda place: -abs(place.head_ms - place.base_ms)))


def _by_function(blocks: Iterable[Block]) -> dict[tuple[str, str], list[Block]]:
    found: dict[tuple[str, str], list[Block]] = defaultdict(list)
    for block in blocks:
        found[block.function, block.where.rpartition(":")[0]].append(block)
    return found


def _moved(
    key: tuple[str, str], base: list[Block], head: list[Block], base_s: float, head_s: float
) -> BlockChange:
    function, file = key
    change, by_chance = _change(base, head, base_s, head_s)
    return BlockChange(
        function=function,
        where=max(head or base, key=lambda block: block.held_ms).where or file,
        base_count=len(base),
        base_ms=round(sum(block.held_ms for block in base), 3),
        head_count=len(head),
        head_ms=round(sum(block.held_ms for block in head), 3),
        change=change,
        by_chance=by_chance,
    )


def _change(base: list[Block], head: list[Block], base_s: float, head_s: float) -> tuple[Trend, bool]:
    before, after = len(base) / (base_s or 1), len(head) / (head_s or 1)
    band = 2 * math.sqrt(len(base) / (base_s or 1) ** 2 + len(head) / (head_s or 1) ** 2)
    by_chance = abs(after - before) <= band
    if not base or not head:
        return (Trend.GONE if base else Trend.NEW), by_chance
    if not by_chance:
        return (Trend.MORE if after > before else Trend.FEWER), False
    return _length(base, head) or (Trend.SAME, True)


def _length(base: list[Block], head: list[Block]) -> tuple[Trend, bool] | None:
    """Whether the blocks of a place last longer or shorter than before; `None` if it is not certain."""
    if min(len(base), len(head)) < LEAST_BLOCKS:
        return None
    before, after = [block.held_ms for block in base], [block.held_ms for block in head]
    apart = fmean(after) - fmean(before)
    band_ms = 2 * math.sqrt(variance(before) / len(before) + variance(after) / len(after))
    if abs(apart) <= max(band_ms, LEAST_APART * fmean(before)):
        return None
    return (Trend.LONGER if apart > 0 else Trend.SHORTER), False
