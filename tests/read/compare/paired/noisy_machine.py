"""A machine as CI has them: two speeds, each for seconds at a time, and a delay now and then."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from harness.read.compare.paired.measure import Measure
from harness.read.compare.paired.trial import Trial, judge
from harness.record.comparison.pairs import Neighbours, RunPair

CPU = Measure("cpu_ms", "ms")


@dataclass(frozen=True)
class NoisyMachine:
    """Measured on one: 44 or 75 ms for the same work, a mode for some seconds, and 2.5 % around it."""

    seed: int
    fast_ms: float = 44.0
    slow_ms: float = 75.0
    mode_s: float = 6.0
    spread: float = 0.025
    delayed: float = 0.05
    delay: float = 0.1
    run_s: float = 0.35

    def pairs(self, slowdown: float) -> Iterator[RunPair]:
        """Pairs of a program and of one that needs *slowdown* more."""
        draw = random.Random(self.seed)
        runs = self._runs(draw)
        while True:
            order = draw.choice(("ABBA", "BAAB"))
            cost = [next(runs) * (1 + slowdown if side == "B" else 1) for side in order]
            halves = (order[:2], cost[:2]), (order[2:], cost[2:])
            yield RunPair(
                tuple(
                    Neighbours({"cpu_ms": took[sides.index("A")]}, {"cpu_ms": took[sides.index("B")]})
                    for sides, took in halves
                )
            )

    def trial(self, slowdown: float, *measures: Measure) -> Trial:
        """The judgement, from as many pairs as it asks for."""
        come = self.pairs(slowdown)
        taken: list[RunPair] = []
        trial = judge(taken, measures or (CPU,))
        while (wanted := trial.wanted) is not None:
            taken += [next(come) for _ in range(wanted - len(taken))]
            trial = judge(taken, measures or (CPU,))
        return trial

    def _runs(self, draw: random.Random) -> Iterator[float]:
        speeds = [self.fast_ms, self.slow_ms]
        draw.shuffle(speeds)
        at_s, until_s = 0.0, draw.expovariate(1 / self.mode_s)
        while True:
            at_s += self.run_s
            if at_s > until_s:
                speeds.reverse()
                until_s = at_s + draw.expovariate(1 / self.mode_s)
            delay = draw.expovariate(1 / self.delay) if draw.random() < self.delayed else 0.0
            yield speeds[0] * (1 + draw.gauss(0, self.spread) + delay)
