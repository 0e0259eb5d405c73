"""The sampling error of a sampled time.

Consecutive samples of one task in one place are one occurrence, whether one tick long or three hundred. Its
ticks depend on each other, but occurrences are independent, so the variance of their sum is the sum of their
squares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .sample import SamplingWay, StackSample

K = TypeVar("K", bound=Hashable)

# Samples with at most this many ticks missing between them belong to one occurrence.
GAP_TICKS = 1


@dataclass(slots=True)
class _Occurrence:
    who: tuple[int, str, str, str]
    until_ns: int
    took_ns: float


class SampleVariance(Generic[K]):
    """The variance of the time sampled in each place of type *K*, in ns²."""

    def __init__(self, samples: Iterable[StackSample], places: Iterable[tuple[K, ...]]) -> None:
        """For each of *samples*, *places* has all its places, for example the calls of its stack."""
        self.variance: defaultdict[K, float] = defaultdict(float)
        self._open: dict[K, _Occurrence] = {}
        ticks = []
        for sample, at_once in zip(samples, places, strict=True):
            tick_ns = sample.weight_ns / max(sample.count, 1)
            # A recording from outside has only counts: which of its ticks were consecutive is not known.
            if sample.way == SamplingWay.OUTSIDE:
                for place in at_once:
                    self.variance[place] += sample.count * tick_ns**2
                continue
            known_ns = sum(tick.to_ns - tick.from_ns for tick in sample.ticks)
            # If there are very many ticks, those listed stand for the others.
            scale = sample.weight_ns / known_ns if known_ns else 0.0
            who = sample.pid, sample.thread, sample.task, sample.span_id
            ticks += [(tick, scale, tick_ns, who, at_once) for tick in sample.ticks]
        ticks.sort(key=lambda tick: tick[0])
        for (from_ns, to_ns), scale, tick_ns, who, at_once in ticks:
            for place in at_once:
                last = self._open.get(place)
                if last and last.who == who and from_ns - last.until_ns <= GAP_TICKS * tick_ns:
                    last.took_ns += (to_ns - from_ns) * scale
                    last.until_ns = max(to_ns, last.until_ns)
                else:
                    self._end(place)
                    self._open[place] = _Occurrence(who, to_ns, (to_ns - from_ns) * scale)
        for place in list(self._open):
            self._end(place)

    def _end(self, place: K) -> None:
        if (occurrence := self._open.pop(place, None)) is not None:
            self.variance[place] += occurrence.took_ns**2
