"""Takes pairs of runs for as long as somebody wants them: in turn, in random order, and within a time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from ...record.comparison.pairs import Measured, Neighbours, RunPair

# Both orders in each pair, so that what helps the first or the second helps both sides.
ORDERS = ("ABBA", "BAAB")


class Side(Protocol):
    """What is compared."""

    def run(self) -> Measured:
        """Measure it once."""


@dataclass(frozen=True, slots=True)
class BenchPace:
    """How far it is, for those who wait."""

    pairs: int
    runs: int  # finished, the warm-up included
    elapsed_s: float
    pair_s: float | None  # what a pair takes, once one has been taken


@dataclass(slots=True)
class BenchSession:
    """Two sides and the order in which they run. The same seed gives the same order."""

    base: Side
    head: Side
    seed: int
    within_s: float
    on_run: Callable[[BenchPace], None]
    pairs: list[RunPair] = field(default_factory=list)
    _runs: int = 0
    _began_s: float = field(default_factory=monotonic)
    _pairs_began_s: float = 0.0

    def warm_up(self) -> tuple[Measured, Measured]:
        """Run each side once. What is imported is compiled by that, and files are in memory."""
        measured = self._run(self.base), self._run(self.head)
        self._pairs_began_s = monotonic()
        return measured

    def take(
        self,
        wanted: Callable[[Sequence[RunPair]], int | None],
        keep: Callable[[RunPair], None],
    ) -> bool:
        """Take pairs until no more are wanted.

        Args:
            wanted: From the pairs so far, how many are wanted in all; `None` if they are enough.
            keep: Called with each pair as soon as it is complete.

        Returns:
            False if time was over first.
        """
        draw = random.Random(self.seed)
        while (enough := wanted(self.pairs)) is not None:
            while len(self.pairs) < enough:
                if self._elapsed_s() + (self._pair_s() or 0.0) > self.within_s:
                    return False
                pair = self._pair(draw.choice(ORDERS))
                self.pairs.append(pair)
                keep(pair)
        return True

    def pace(self) -> BenchPace:
        """How far it is now."""
        return BenchPace(len(self.pairs), self._runs, self._elapsed_s(), self._pair_s())

    def _pair(self, order: str) -> RunPair:
        found = [self._run(self.base if side == "A" else self.head) for side in order]
        halves = zip((order[:2], order[2:]), (found[:2], found[2:]), strict=True)
        return RunPair(
            tuple(Neighbours(runs[sides.index("A")], runs[sides.index("B")]) for sides, runs in halves)
        )

    def _run(self, side: Side) -> Measured:
        measured = side.run()
        self._runs += 1
        self.on_run(self.pace())
        return measured

    def _elapsed_s(self) -> float:
        return monotonic() - self._began_s

    def _pair_s(self) -> float | None:
        return (monotonic() - self._pairs_began_s) / len(self.pairs) if self.pairs else None
