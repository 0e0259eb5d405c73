"""Two ways to do the same work, compared so that a machine whose speed changes by itself does not matter.

The sides run in turn, A B, B A, A B, ...: the two of a pair meet the same machine, and neither is always the
second. Each pair gives one ratio; the result is their median, and how far it can be trusted comes from
drawing pairs again and again. Ratios of times that were not taken side by side say nothing here.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

Sample = Mapping[str, float]  # what was measured, its unit in the name -> value
Side = Callable[[], Sample]
Pair = tuple[Sample, Sample]  # base, head

DRAWS = 2_000
# A program takes about a second; one that takes this long hangs.
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure of both sides."""

    measure: str
    base: float  # median
    head: float  # median
    difference: float  # head - base, median of the pairs
    ratio: float  # head / base, median of the pairs
    low: float
    high: float  # with `low`, the interval that holds the ratio with 95 %
    noise: float  # twice the ratio's standard error: a smaller change cannot be seen here


def program(command: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> Side:
    """A side that is a new process each time, in *folder*; it prints its sample as JSON."""

    def run() -> Sample:
        done = subprocess.run(
            command, env=environment, cwd=folder, stdout=subprocess.PIPE, check=True, timeout=TIMEOUT_S
        )
        sample: Sample = json.loads(done.stdout)
        return sample

    return run


def measure(benchmark: BenchmarkFixture, base: Side, head: Side, *, pairs: int) -> list[Pair]:
    """Run both sides in turn. What pytest-benchmark times is the head: of a program, its start included."""
    bases: list[Sample] = []
    heads: list[Sample] = []

    def before() -> None:
        if len(heads) % 2 == 0:
            bases.append(base())

    def timed() -> None:
        heads.append(head())

    def after() -> None:
        if len(bases) < len(heads):
            bases.append(base())

    # The first run of all compiles what is imported.
    base()
    head()
    benchmark.pedantic(timed, setup=before, teardown=after, rounds=pairs)
    return list(zip(bases, heads, strict=True))


def compare(pairs: Sequence[Pair]) -> list[Comparison]:
    """What the pairs say about each of their measures."""
    return [_comparison(name, [(base[name], head[name]) for base, head in pairs]) for name in pairs[0][0]]


def _comparison(name: str, values: Sequence[tuple[float, float]]) -> Comparison:
    bases, heads = zip(*values, strict=True)
    logs = [math.log(head / base) for base, head in values]
    draw = random.Random(0)
    medians = [statistics.median(draw.choices(logs, k=len(logs))) for _ in range(DRAWS)]
    cuts = statistics.quantiles(medians, n=40)
    return Comparison(
        measure=name,
        base=statistics.median(bases),
        head=statistics.median(heads),
        difference=statistics.median(head - base for base, head in values),
        ratio=math.exp(statistics.median(logs)),
        low=math.exp(cuts[0]),
        high=math.exp(cuts[-1]),
        noise=2 * statistics.stdev(medians),
    )
