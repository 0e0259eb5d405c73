"""Compares two suites of benchmarks: takes pairs of runs, judges each benchmark, and keeps what was taken.

It joins `drive/bench` and `read/compare`, as `comparing.py` does, and differs from it in two points: a
benchmark that is settled is not run again, and one that cannot be compared is named, and ends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .comparing import ComparisonPlan, Watcher
from .drive.bench.benchmark_side import BenchmarkSide
from .drive.bench.session import BenchSession
from .errors import OutputError, UsageError
from .read.compare import benchmarks
from .read.compare.benchmarks import BenchmarkPairing
from .read.compare.decision.decision import Decision
from .read.compare.operation_counts import with_counts
from .read.compare.paired.false_alarms import FalseAlarms, false_alarms
from .read.compare.paired.spending import MOST
from .read.compare.paired.trial import Trial, judge
from .record.comparison.benchmarks import BenchmarkResults
from .record.comparison.pairs import RunPair


@dataclass(slots=True)
class _Suites:
    """Both sides, and what of them can be compared."""

    base: BenchmarkSide
    head: BenchmarkSide
    limit: float
    first: tuple[BenchmarkResults, BenchmarkResults] = (BenchmarkResults({}), BenchmarkResults({}))
    pairing: BenchmarkPairing = field(default_factory=lambda: BenchmarkPairing((), {}))

    def pair_up(self) -> None:
        """Take what the first run of each side has measured for what there is."""
        self.first = (self.base.latest, self.head.latest)
        self.pairing = benchmarks.paired(*self.first, limit=self.limit)

    def judge(self, pairs: Sequence[RunPair], *, ended: str = "") -> Trial:
        """The verdict on every benchmark."""
        trial = judge(pairs, self.pairing.measures, ended=ended, leaves_settled=True)
        broken = benchmarks.broken_later(self.base.unmeasured, self.head.unmeasured)
        whole = benchmarks.with_apart(trial, {**broken, **self.pairing.apart}, *self.first)
        both = [measure.name for measure in self.pairing.measures]
        return with_counts(whole, pairs, both, limit=self.limit)

    def choose(self, trial: Trial) -> None:
        """Run from now on only what is not settled, and has not failed."""
        failed = {**self.base.unmeasured, **self.head.unmeasured, **self.pairing.apart}
        chosen = [one.name for one in trial.judged if not one.settled and one.name not in failed]
        self.base.chosen = self.head.chosen = chosen

    def false_alarms(self, pairs: Sequence[RunPair]) -> tuple[FalseAlarms, ...] | None:
        """How often the noise alone would be called a difference."""
        return false_alarms(pairs, self.pairing.measures) if len(pairs) > 1 else None


def compare_benchmarks(
    plan: ComparisonPlan, base: BenchmarkSide, head: BenchmarkSide, watcher: Watcher
) -> Decision:
    """Run both suites in turn until every benchmark is judged, or time is over, or Ctrl-C.

    Raises:
        HarnessError: A suite cannot be run.
        OutputError: The disk is full.
    """
    if plan.metrics:
        raise UsageError("--metric: each benchmark of pytest decides; choose them by pytest's own options")
    suites = _Suites(base, head, plan.limit)
    session = BenchSession(base, head, seed=plan.seed, within_s=plan.within_s, on_run=watcher.show)
    ended, interrupted = "", False
    try:
        session.warm_up()
        suites.pair_up()
        ended = plan.take(session, _wanted(plan, suites, watcher))
    except KeyboardInterrupt:
        ended, interrupted = f"interrupted after {len(session.pairs)} pairs", True
    except OutputError as exc:
        exc.add_note(f"{len(session.pairs)} pairs were taken so far.")
        raise
    return plan.decide(
        session,
        suites.judge(session.pairs, ended=ended),
        ended=ended,
        interrupted=interrupted,
        false_alarms=suites.false_alarms(session.pairs) if plan.is_self else None,
    )


def _wanted(
    plan: ComparisonPlan, suites: _Suites, watcher: Watcher
) -> Callable[[Sequence[RunPair]], int | None]:
    def wanted(pairs: Sequence[RunPair]) -> int | None:
        trial = suites.judge(pairs)
        watcher.know(trial)
        if plan.is_self:
            return MOST if len(pairs) < MOST and suites.pairing.measures else None
        suites.choose(trial)
        return trial.wanted if suites.base.chosen else None

    return wanted
