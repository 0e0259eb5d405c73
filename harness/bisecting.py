"""Finds the revision that made something slower, by comparing revisions with the good one.

Every answer is kept in a file as soon as it is there, so the search goes on where it was stopped.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from .drive.bench.checkout import Commit
from .errors import RecordError, TargetError, UsageError
from .read.compare.decision.decision import INTERRUPTED, SCHEMA, Decision
from .read.compare.paired.answer import Answer
from .read.compare.search import next_place, search_range
from .read.formats import save

STATE = "bisect.json"

# Compares a commit with the good one: into a folder, within a time.
DecideCommit = Callable[[Commit, Path, float], Decision]


@dataclass(frozen=True, slots=True)
class BisectStep:
    """One revision that was compared with the good one."""

    commit: str
    subject: str
    answer: Answer
    sentence: str


@dataclass(frozen=True, slots=True)
class Bisected:
    """Where the search stands."""

    schema: int
    verdict: Answer  # slower: the commit is found
    sentence: str
    asked: Mapping[str, object]  # a search goes on only if the same is asked again
    good: Commit  # the last that is known not to be slower
    slower: Commit  # the first that is known to be slower
    between: int  # revisions between them, of which nothing is known
    steps: tuple[BisectStep, ...]
    interrupted: bool = False

    @property
    def exit_status(self) -> int:
        """0: nothing is slower. 1: the commit is found. 3: only a range is. 130: interrupted."""
        if self.interrupted:
            return INTERRUPTED
        return {Answer.SLOWER: 1, Answer.UNKNOWN: 3}.get(self.verdict, 0)


@dataclass(slots=True)
class BisectSession:
    """The search among *commits*, of which the first is good and the last one slower."""

    commits: Sequence[Commit]
    folder: Path
    asked: Mapping[str, object]
    within_s: float
    decide: DecideCommit
    tell: Callable[[str], None]
    _steps: dict[int, BisectStep] = field(default_factory=dict)

    def run(self) -> Bisected:
        """Search until the commit is found, nothing is left to try, time is over, or Ctrl-C.

        Raises:
            UsageError: The folder has another search.
        """
        self._resume()
        deadline_s = monotonic() + self.within_s
        interrupted = False
        try:
            last = len(self.commits) - 1
            if last not in self._steps:
                self._try(last, deadline_s)
            while self._known().get(last) == Answer.SLOWER:
                place = next_place(len(self.commits), self._known())
                if place is None or monotonic() > deadline_s:
                    break
                self._try(place, deadline_s)
        except KeyboardInterrupt:
            interrupted = True
        return self._result(interrupted=interrupted)

    def _try(self, place: int, deadline_s: float) -> None:
        commit = self.commits[place]
        between = search_range(len(self.commits), self._known())
        left = between.slower - between.good - 1
        self.tell(f"{commit.id[:12]} {commit.subject} ({left} left between good and slower)")
        tried = len(list(self.folder.glob("*-*"))) if self.folder.exists() else 0
        folder = self.folder / f"{tried + 1:02}-{commit.id[:12]}"
        try:
            decided = self.decide(commit, folder, max(1.0, deadline_s - monotonic()))
            answer, sentence = decided.verdict, decided.sentence
            if decided.interrupted:
                raise KeyboardInterrupt
        except TargetError as exc:
            # It is passed over: another revision may be one that runs.
            answer, sentence = Answer.UNKNOWN, str(exc)
        self._steps[place] = BisectStep(commit.id, commit.subject, answer, sentence)
        self.tell(f"  {sentence}")
        self._keep(self._result(interrupted=False))

    def _known(self) -> dict[int, Answer]:
        return {place: step.answer for place, step in self._steps.items()}

    def _result(self, *, interrupted: bool) -> Bisected:
        between = search_range(len(self.commits), self._known())
        good, slower = self.commits[between.good], self.commits[between.slower]
        verdict, sentence = self._said(between.is_exact, good, slower, between.slower - between.good - 1)
        return Bisected(
            schema=SCHEMA,
            verdict=verdict,
            sentence=sentence,
            asked=self.asked,
            good=good,
            slower=slower,
            between=between.slower - between.good - 1,
            steps=tuple(self._steps[place] for place in sorted(self._steps)),
            interrupted=interrupted,
        )

    def _said(self, is_exact: bool, good: Commit, slower: Commit, between: int) -> tuple[Answer, str]:
        last = self._steps.get(len(self.commits) - 1)
        if last is None:
            return Answer.UNKNOWN, f"{Answer.UNKNOWN}: the bad revision was not compared with the good one"
        if last.answer != Answer.SLOWER:
            verdict = Answer.UNKNOWN if last.answer == Answer.UNKNOWN else Answer.SAME
            return verdict, f"the bad revision against the good one: {last.sentence}"
        if is_exact:
            step = next((one for one in self._steps.values() if one.commit == slower.id), last)
            return Answer.SLOWER, f"{slower.id[:12]} {slower.subject} made it slower: {step.sentence}"
        text = f"it is after {good.id[:12]} and not after {slower.id[:12]} {slower.subject}"
        return Answer.UNKNOWN, f"{Answer.UNKNOWN} which of {between + 1} revisions made it slower: {text}"

    def _resume(self) -> None:
        path = self.folder / STATE
        if not path.exists():
            return
        try:
            kept = json.loads(path.read_text())
            if kept["asked"] != dict(self.asked):
                raise UsageError(f"{self.folder}: holds another search; name another folder with --out")
            places = {commit.id: place for place, commit in enumerate(self.commits)}
            for raw in kept["steps"]:
                step = BisectStep(raw["commit"], raw["subject"], Answer(raw["answer"]), raw["sentence"])
                self._steps[places[step.commit]] = step
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise RecordError(f"{path}: damaged: {exc}") from exc
        self.tell(f"going on in {self.folder}, with {len(self._steps)} revisions known")

    def _keep(self, result: Bisected) -> None:
        save(json.dumps(as_json(result), indent=1) + "\n", self.folder / STATE)


def as_json(result: Bisected) -> dict[str, object]:
    """The result as objects, lists, strings, numbers and nulls."""
    return dataclasses.asdict(result) | {"exit_status": result.exit_status}
