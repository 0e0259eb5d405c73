"""Which verdict can be believed: ours, and those that teams use today, on one machine and the same slowdowns.

    python benchmarks/believed.py                      # the whole table; two hours on a quiet machine
    python benchmarks/believed.py --trials 3 --json    # a look

Each trial compares a program with itself, or with one that does 2, 5 or 10 % more of the same work:

- *harness bench*: the judgement of `harness/read/compare/paired`, by pairs of fresh processes;
- *pytest-benchmark*: `--benchmark-compare-fail` with `mean:5%`, `min:5%` and `median:10%`, of wall clock, in
  two processes one after the other with ten rounds each, the base first, as in CI;
- *Welch's t-test*: one-sided at 5 %, as pyperf does it, on the rounds of these same two processes.

What pytest-benchmark and the t-test judge is taken right before the pairs of the same trial.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from harness.drive.bench.session import BenchSession
from harness.read.compare.paired.answer import Answer
from harness.read.compare.paired.estimate import student_quantile
from harness.read.compare.paired.measure import Measure
from harness.read.compare.paired.trial import judge

MESSAGES = Path(__file__).parent / "workloads" / "messages.py"
ROUNDS = 10
# Comparisons of each slowdown, with the limit that was asked for.
PLAN = ((0.0, 0.05, 100), (0.02, 0.02, 30), (0.05, 0.05, 30), (0.10, 0.05, 30))
WITHIN_S = 600.0

Rounds = Sequence[float]


def welch(base: Rounds, head: Rounds) -> bool:
    """Whether the mean of the head is larger, one-sided at 5 %."""
    parts = [statistics.variance(rounds) / len(rounds) for rounds in (base, head)]
    error = math.sqrt(sum(parts))
    if not error:
        return statistics.fmean(head) > statistics.fmean(base)
    freedom = error**4 / sum(part**2 / (len(base) - 1) for part in parts)
    return statistics.fmean(head) - statistics.fmean(base) > student_quantile(0.95, int(freedom)) * error


def above(of: Callable[[Rounds], float], limit: float) -> Callable[[Rounds, Rounds], bool]:
    """As ``--benchmark-compare-fail=mean:5%``: the figure of the head is larger by more than that."""
    return lambda base, head: of(head) > of(base) * (1 + limit)


RULES: Mapping[str, Callable[[Rounds, Rounds], bool]] = {
    "pytest-benchmark mean:5%": above(statistics.fmean, 0.05),
    "pytest-benchmark min:5%": above(min, 0.05),
    "pytest-benchmark median:10%": above(statistics.median, 0.10),
    "Welch's t-test, 5 %": welch,
}
OURS = "harness bench"


@dataclass
class Work:
    """The program with that much more work, as a side of a comparison."""

    count: int
    slowdown: float

    def run(self) -> Mapping[str, float]:
        return {"cpu_ms": self.rounds(1)[-1]["cpu_ms"]}

    def rounds(self, number: int) -> list[dict[str, float]]:
        """So many rounds in one process."""
        command = [sys.executable, str(MESSAGES), str(self.count), str(self.slowdown), str(number)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=WITHIN_S)
        told: list[dict[str, float]] = json.loads(done.stdout)["rounds"]
        return told


@dataclass
class Row:
    """What one rule said about one slowdown."""

    rule: str
    slowdown: float
    limit: float
    trials: int = 0
    slower: int = 0
    unknown: int = 0
    took_s: list[float] = field(default_factory=list)
    pairs: list[int] = field(default_factory=list)


def trials(count: int, plan: Sequence[tuple[float, float, int]], seed: int) -> Iterator[Row]:
    """Run them; a row as soon as it is complete."""
    for slowdown, limit, number in plan:
        rows = {name: Row(name, slowdown, limit) for name in (*RULES, OURS)}
        for trial in range(number):
            base, head = Work(count, 0.0), Work(count, slowdown)
            began_s = monotonic()
            rounds = [[one["wall_ms"] for one in side.rounds(ROUNDS)] for side in (base, head)]
            for name, rule in RULES.items():
                rows[name].trials += 1
                rows[name].slower += rule(*rounds)
                rows[name].took_s.append(monotonic() - began_s)
            _ours(rows[OURS], base, head, limit, seed=seed + trial)
            print(f"{slowdown:.0%}: {trial + 1} of {number}", file=sys.stderr)
        yield from rows.values()


def _ours(row: Row, base: Work, head: Work, limit: float, *, seed: int) -> None:
    measure = Measure("cpu_ms", "ms", limit=limit)
    began_s = monotonic()
    session = BenchSession(base, head, seed=seed, within_s=WITHIN_S, on_run=lambda _: None)
    session.warm_up()
    session.take(lambda pairs: judge(pairs, [measure]).wanted, keep=lambda _: None)
    answer = judge(session.pairs, [measure]).judged[0].answer
    row.trials += 1
    row.slower += answer == Answer.SLOWER
    row.unknown += answer == Answer.UNKNOWN
    row.took_s.append(monotonic() - began_s)
    row.pairs.append(len(session.pairs))


def _line(row: Row) -> str:
    pairs = f"{statistics.median(row.pairs):g}" if row.pairs else "–"
    said = f"{row.slower} of {row.trials} | {row.unknown}"
    took = f"{statistics.median(row.took_s):.1f} s"
    return f"| {row.rule} | {row.slowdown:.0%} | {row.limit:.0%} | {said} | {pairs} | {took} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000, help="messages of a run: 1,000 are some 50 ms")
    parser.add_argument("--trials", type=int, help="of each slowdown; by default 100 without and 30 with one")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--json", action="store_true", help="rows as JSON, one per line")
    asked = parser.parse_args()
    plan = [(slowdown, limit, asked.trials or number) for slowdown, limit, number in PLAN]
    if not asked.json:
        print("| rule | slowdown | limit | said slower | cannot tell | pairs | median time |")
        print("|---|--:|--:|--:|--:|--:|--:|")
    for row in trials(asked.count, plan, asked.seed):
        print(json.dumps(vars(row)) if asked.json else _line(row), flush=True)


if __name__ == "__main__":
    main()
