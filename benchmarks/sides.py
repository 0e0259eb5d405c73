"""Two ways to do the same work, run in turn. `harness.read.compare.paired` judges what they measured.

The sides run A B, B A, A B, ...: the two of a pair meet the same machine, and neither is always the second.
Figures that were not taken side by side say nothing here.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from harness.read.compare.measures.program import unit_of
from harness.read.compare.paired.answer import Judged
from harness.read.compare.paired.measure import Measure
from harness.read.compare.paired.once import judge_pairs
from harness.record.comparison.pairs import Neighbours, RunPair

Sample = Mapping[str, float]  # what was measured, its unit in the name -> value
Side = Callable[[], Sample]
Pair = tuple[Sample, Sample]  # base, head

# A program takes about a second; one that takes this long hangs.
TIMEOUT_S = 60.0


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


def judge(pairs: Sequence[Pair]) -> tuple[Judged, ...]:
    """What the pairs say about each of their measures; of rates, that fewer are worse."""
    measures = [Measure(name, unit_of(name), more_is_better=name.endswith("_per_s")) for name in pairs[0][0]]
    taken = [RunPair((Neighbours(base, head),)) for base, head in pairs]
    return judge_pairs(taken, measures).judged
