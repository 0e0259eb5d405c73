"""The records of two sides: one run each, or folders with runs of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import RecordError
from ...record.comparison.pairs import Measured, Neighbours, RunPair
from ...record.run import MANIFEST
from ...record.run_folder import RunFolder
from ..calls.allowlist import Allowlist
from ..evidence import Evidence
from ..history import load
from ..judge.outcome import RunOutcome
from ..report import outcome_of
from .measures.record import of_record


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run and what its record measured."""

    evidence: Evidence
    measured: Measured
    outcome: RunOutcome

    @property
    def started(self) -> str:
        """When it began; runs of different machines have no other clock in common."""
        return self.evidence.history.run.started


def runs_in(path: Path) -> tuple[RecordedRun, ...]:
    """The run in the folder *path*, or the runs in its folders; in order of time.

    Raises:
        RecordError: There is none, or one cannot be read.
    """
    found = [path] if (path / MANIFEST).exists() else sorted(one.parent for one in path.glob(f"*/{MANIFEST}"))
    if not found:
        raise RecordError(f"{path}: no record of a run here, and none in its folders ({MANIFEST} is missing)")
    return tuple(sorted(map(_run, found), key=lambda run: run.started))


def in_turn(base: Sequence[RecordedRun], head: Sequence[RecordedRun]) -> tuple[RunPair, ...] | None:
    """The runs as pairs of neighbours in time; `None` if they were not taken in turn."""
    sides = sorted([*((run, "base") for run in base), *((run, "head") for run in head)], key=_when)
    if len(base) != len(head):
        return None
    pairs = tuple(_neighbours(sides))
    return pairs if len(pairs) == len(base) else None


def _when(run_and_side: tuple[RecordedRun, str]) -> str:
    return run_and_side[0].started


def _neighbours(sides: Sequence[tuple[RecordedRun, str]]) -> Iterator[RunPair]:
    for (first, side), (second, other) in zip(sides[::2], sides[1::2], strict=True):
        if side != other:
            base, head = (first, second) if side == "base" else (second, first)
            yield RunPair((Neighbours(base.measured, head.measured),))


def _run(path: Path) -> RecordedRun:
    history = load(RunFolder(path))
    evidence = Evidence(history, Allowlist.of_run(history.run))
    return RecordedRun(evidence, of_record(evidence), outcome_of(evidence))
