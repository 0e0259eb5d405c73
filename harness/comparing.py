"""Compares two sides by running them in turn: takes pairs, judges them, and keeps them in a folder.

It joins `drive/bench`, which runs and does not judge, and `read/compare`, which judges and does not run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .drive.bench.explained import ExplainedSide
from .drive.bench.scenario_run import SidePlace, run_once
from .drive.bench.session import ORDERS, BenchPace, BenchSession, Side
from .errors import HarnessError, OutputError, TargetError, UsageError
from .read.calls.allowlist import Allowlist
from .read.compare.decision import decision
from .read.compare.decision.decision import ComparedSide, Decision
from .read.compare.measures import record as record_measures
from .read.compare.paired.allowed import Allowed
from .read.compare.paired.answer import Answer
from .read.compare.paired.false_alarms import FalseAlarms, false_alarms
from .read.compare.paired.measure import LIMIT, Measure
from .read.compare.paired.spending import MOST
from .read.compare.paired.trial import Trial, judge
from .read.compare.why.place import ChangedLines
from .read.compare.why.reason import ReasonFound
from .read.compare.why.reasons import ExplainedRun, reasons
from .read.evidence import Evidence
from .read.figures.target import crash
from .read.formats import save
from .read.history import load
from .record.comparison import pairs as pair_file
from .record.comparison.pairs import PAIRS, Measured, RunPair
from .record.event import TargetExited, describe_status
from .record.run_folder import RunFolder
from .record.scenario import Scenario

DECISION, RUNS = "decision.json", "runs"
# Of these, in both orders: four runs of each side. With fewer, hardly anything is beyond their noise.
# More are run only while they show nothing: a short run has few samples.
EXPLAINED_PAIRS, EXPLAINED_PAIRS_AT_MOST = 2, 6


class Watcher(Protocol):
    """Who is told how far it is."""

    def know(self, trial: Trial) -> None:
        """Take what the pairs so far say."""

    def show(self, pace: BenchPace) -> None:
        """Show how far it is."""

    def tell(self, line: str) -> None:
        """Say something beside it."""


class MeasuresOf(Protocol):
    """Which measures there are, from the names of the figures that the sides have."""

    def __call__(
        self, names: Iterable[str], asked: Mapping[str, float | None], *, limit: float
    ) -> tuple[Measure, ...]:
        """One measure for each figure; those *asked* for decide."""


@dataclass(frozen=True, slots=True)
class ComparisonPlan:
    """What is asked."""

    id: str
    folder: Path
    base: ComparedSide
    head: ComparedSide
    measures_of: MeasuresOf
    seed: int
    within_s: float
    limit: float = LIMIT
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    allowed: Allowed = field(default_factory=Allowed)
    is_self: bool = False  # the base is compared with itself, to learn the noise
    notes: tuple[str, ...] = ()
    changed: ChangedLines = field(default_factory=ChangedLines)

    @property
    def pairs(self) -> Path:
        """The file of pairs."""
        return self.folder / PAIRS

    def take(self, session: BenchSession, wanted: Callable[[Sequence[RunPair]], int | None]) -> str:
        """Take and keep the pairs that are *wanted*; why that ended early, "" if it did not.

        Raises:
            HarnessError: A side failed.
            OutputError: The disk is full.
        """
        if session.take(wanted, lambda pair: pair_file.append(self.pairs, pair)):
            return ""
        return f"the {self.within_s / 60:g} minutes were over after {len(session.pairs)} pairs"

    def decide(
        self,
        session: BenchSession,
        trial: Trial,
        *,
        ended: str = "",
        interrupted: bool = False,
        false_alarms: tuple[FalseAlarms, ...] | None = None,
        reasons: tuple[ReasonFound, ...] = (),
    ) -> Decision:
        """The document of the judgement on the session's pairs."""
        return decision.decision(
            self.allowed.applied(trial),
            comparison_id=self.id,
            base=self.base,
            head=self.head,
            took_s=session.pace().elapsed_s,
            seed=self.seed,
            ended=ended,
            interrupted=interrupted,
            false_alarms=false_alarms,
            reasons=reasons,
            notes=self.notes,
        )


@dataclass(slots=True)
class RecordedSide:
    """A side that is a scenario, whose every run has a record."""

    name: str
    scenario: Scenario
    place: SidePlace
    folder: Path
    _runs: int = 0

    def run(self) -> Measured:
        """Run the scenario once; what its record measured.

        Raises:
            HarnessError: It could not be run.
        """
        self._runs += 1
        folder = self.folder / f"{self.name}-{self._runs:03}"
        try:
            found = evidence(run_once(self.scenario, self.place, folder))
            if (exited := crash(found.history)) is not None:
                raise _crashed(exited)
            return record_measures.of_record(found)
        except HarnessError as exc:
            failed = type(exc)(f"{self.name}: {exc}")
            for note in getattr(exc, "__notes__", ()):
                failed.add_note(note)
            if folder.exists():
                failed.add_note(f"The record is kept: harness report {folder}")
            raise failed from exc


def _crashed(exited: TargetExited) -> TargetError:
    exc = TargetError(f"the target ended {describe_status(exited.status)}")
    for line in exited.last_lines:
        exc.add_note(line)
    return exc


def evidence(folder: RunFolder) -> Evidence:
    """The record in *folder*."""
    history = load(folder)
    return Evidence(history, Allowlist.of_run(history.run))


def compare(
    plan: ComparisonPlan,
    base: Side,
    head: Side,
    watcher: Watcher,
    explained: tuple[ExplainedSide, ExplainedSide] | None = None,
) -> Decision:
    """Run both sides in turn for as long as the judgement needs it, or time is over, or Ctrl-C.

    If the head is slower, the *explained* sides are then run a few times for the reasons.

    Raises:
        HarnessError: A side failed, or something is asked for that was not measured.
        OutputError: The disk is full.
    """
    session = BenchSession(base, head, seed=plan.seed, within_s=plan.within_s, on_run=watcher.show)
    measures: tuple[Measure, ...] = ()
    ended, interrupted = "", False
    found: tuple[ReasonFound, ...] = ()
    try:
        measures = _measures(plan, [name for side in session.warm_up() for name in side])
        ended = plan.take(session, _wanted(plan, measures, watcher))
        is_slower = _decided(plan, session, measures).verdict == Answer.SLOWER
        if explained is not None and is_slower and not plan.is_self:
            watcher.tell("the head is slower; sampling both sides for the reason")
            try:
                found = _explained(plan, *explained)
            except TargetError as exc:
                # What was decided stays decided.
                watcher.tell(f"the reason is not known: {exc}")
    except KeyboardInterrupt:
        ended, interrupted = f"interrupted after {len(session.pairs)} pairs", True
    except OutputError as exc:
        so_far = _decided(plan, session, measures, ended="the disk is full")
        exc.add_note(f"So far, after {len(session.pairs)} pairs: {so_far.sentence}")
        raise
    return _decided(plan, session, measures, ended=ended, interrupted=interrupted, found=found)


def keep(decided: Decision, folder: Path) -> None:
    """Write the decision into the comparison's folder; it is shown before, in case that there is no room.

    Raises:
        OutputError: The disk is full.
        UsageError: The folder cannot be written.
    """
    try:
        save(json.dumps(decision.as_json(decided), indent=1) + "\n", folder / DECISION)
    except OutputError as exc:
        raise OutputError(str(exc)) from exc  # the note of `save` is about the record of a run


def make_folder(folder: Path) -> None:
    """Make the folder of a new comparison.

    Raises:
        UsageError: It holds one already, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(f"{folder}: cannot be written: {exc.strerror}") from exc
    if (folder / PAIRS).exists() or (folder / DECISION).exists():
        raise UsageError(f"{folder}: holds a comparison already; name another folder with --out")


def _measures(plan: ComparisonPlan, names: Sequence[str]) -> tuple[Measure, ...]:
    if missing := [name for name in plan.metrics if name not in names]:
        exc = UsageError(f"--metric {missing[0]}: no such figure was measured")
        exc.add_note(f"There are: {', '.join(dict.fromkeys(names))}.")
        raise exc
    return plan.measures_of(names, plan.metrics, limit=plan.limit)


def _wanted(
    plan: ComparisonPlan, measures: Sequence[Measure], watcher: Watcher
) -> Callable[[Sequence[RunPair]], int | None]:
    def wanted(pairs: Sequence[RunPair]) -> int | None:
        trial = judge(pairs, measures)
        watcher.know(trial)
        if plan.is_self:
            return MOST if len(pairs) < MOST else None
        return trial.wanted

    return wanted


def _explained(plan: ComparisonPlan, base: ExplainedSide, head: ExplainedSide) -> tuple[ReasonFound, ...]:
    runs: dict[str, list[ExplainedRun]] = {"A": [], "B": []}
    found: tuple[ReasonFound, ...] = ()
    for number in range(EXPLAINED_PAIRS_AT_MOST):
        for letter in ORDERS[number % len(ORDERS)]:
            side = base if letter == "A" else head
            path = plan.folder / RUNS / f"explained-{side.name}-{len(runs[letter]) + 1}"
            runs[letter].append(ExplainedRun.of(evidence(side.run_into(path))))
        if number + 1 >= EXPLAINED_PAIRS and (found := reasons(runs["A"], runs["B"], plan.changed)):
            break
    return found


def _decided(
    plan: ComparisonPlan,
    session: BenchSession,
    measures: Sequence[Measure],
    *,
    ended: str = "",
    interrupted: bool = False,
    found: tuple[ReasonFound, ...] = (),
) -> Decision:
    pairs = session.pairs
    gated = [measure for measure in measures if measure.gate.counts]
    return plan.decide(
        session,
        judge(pairs, measures, ended=ended),
        ended=ended,
        interrupted=interrupted,
        false_alarms=false_alarms(pairs, gated) if plan.is_self and len(pairs) > 1 else None,
        reasons=found,
    )
