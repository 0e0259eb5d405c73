"""How much a sampled time may be off by chance alone.

Samples that follow each other in one place are one visit there, be it one tick long or three hundred: that a
visit fell into this run was chance, its ticks were not. So the visits are what is counted, and the variance
of their sum is the sum of their squares, as it is for events that come independently of each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .sample import SamplingWay, StackSample

K = TypeVar("K", bound=Hashable)

# Two looks at one place are one visit when at most so many ticks are missing between them.
GAP_TICKS = 1


@dataclass(slots=True)
class _Visit:
    who: tuple[int, str, str, str]
    until_ns: int
    took_ns: float


class SampleVariance(Generic[K]):
    """The variance of the time that was sampled in each place of the kind *K*, in ns²."""

    def __init__(self, samples: Iterable[StackSample], places: Iterable[tuple[K, ...]]) -> None:
        """For each of *samples* the *places* that it was in at once, as all the calls of its stack."""
        self.variance: defaultdict[K, float] = defaultdict(float)
        self._open: dict[K, _Visit] = {}
        looks = []
        for sample, at_once in zip(samples, places, strict=True):
            tick_ns = sample.weight_ns / max(sample.count, 1)
            # A recording from outside only counts: which of its ticks followed each other is not known.
            if sample.way == SamplingWay.OUTSIDE:
                for place in at_once:
                    self.variance[place] += sample.count * tick_ns**2
                continue
            known_ns = sum(look.to_ns - look.from_ns for look in sample.looks)
            # Of very many looks not all are listed; those that are stand for the others.
            scale = sample.weight_ns / known_ns if known_ns else 0.0
            who = sample.pid, sample.thread, sample.task, sample.span_id
            looks += [(look, scale, tick_ns, who, at_once) for look in sample.looks]
        looks.sort(key=lambda look: look[0])
        for (from_ns, to_ns), scale, tick_ns, who, at_once in looks:
            for place in at_once:
                visit = self._open.get(place)
                if visit is not None and visit.who == who and from_ns - visit.until_ns <= GAP_TICKS * tick_ns:
                    visit.took_ns += (to_ns - from_ns) * scale
                    visit.until_ns = max(to_ns, visit.until_ns)
                else:
                    self._end(place)
                    self._open[place] = _Visit(who, to_ns, (to_ns - from_ns) * scale)
        for place in list(self._open):
            self._end(place)

    def _end(self, place: K) -> None:
        if (visit := self._open.pop(place, None)) is not None:
            self.variance[place] += visit.took_ns**2
