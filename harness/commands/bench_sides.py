"""What `bench` and `bisect` run on both sides: a scenario, programs or benchmarks, each in its place."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from types import FrameType

from ..benchmarking import compare_benchmarks
from ..comparing import RUNS, ComparisonPlan, MeasuresOf, RecordedSide, Watcher, compare
from ..drive.bench.benchmark_side import BenchmarkSide
from ..drive.bench.explained import ExplainedProgram, ExplainedScenario
from ..drive.bench.program import Launcher, ProgramSide
from ..drive.bench.scenario_run import SidePlace
from ..errors import UsageError
from ..read.compare.decision.decision import Decision
from ..read.compare.measures import program as program_measures
from ..read.compare.measures import record as record_measures
from ..record.scenario import Scenario

NAMES = ("base", "head")
Places = tuple[SidePlace, SidePlace]


@dataclass(frozen=True, slots=True)
class SidesAsked:
    """A scenario, the command of each side, or the options of a pytest that runs benchmarks."""

    scenario: Scenario | None
    commands: tuple[tuple[str, ...], ...]  # of base and head; none for a scenario and for benchmarks
    run_timeout_s: float
    explains: bool
    pytest: tuple[str, ...] | None = None

    @property
    def measures_of(self) -> MeasuresOf:
        """What is known of such a run."""
        return program_measures.measures if self.scenario is None else record_measures.measures

    def names(self) -> tuple[str, ...]:
        """What runs on each side, for people."""
        if self.scenario is not None:
            return (self.scenario.name,) * len(NAMES)
        if self.pytest is not None:
            return (shlex.join(("pytest", *self.pytest)),) * len(NAMES)
        return tuple(map(shlex.join, self.commands))

    def file(self) -> str:
        """The first file that the head's command or the benchmarks name; "" if there is none."""
        words = self.pytest or (self.commands[-1] if self.commands else ())
        files = (word.partition("::")[0] for word in words)
        return next((file for file in files if _is_file(file)), "")

    def decide(self, plan: ComparisonPlan, places: Places, watcher: Watcher) -> Decision:
        """Run both sides in their places, until it is decided.

        Raises:
            HarnessError: A side cannot be run.
        """
        if self.scenario is not None:
            return self._scenarios(self.scenario, plan, places, watcher)
        with Launcher() as launcher:
            if self.pytest is not None:
                return self._benchmarks(self.pytest, launcher, plan, places, watcher)
            base, head = (
                ProgramSide(
                    name,
                    command,
                    launcher,
                    cwd=place.folder(Path.cwd()),
                    env=place.variables(os.environ),
                    within_s=self.run_timeout_s,
                )
                for name, command, place in zip(NAMES, self.commands, places, strict=True)
            )
            why = ExplainedProgram(base), ExplainedProgram(head)
            return compare(plan, base, head, watcher, why if self.explains else None)

    def _benchmarks(
        self,
        args: tuple[str, ...],
        launcher: Launcher,
        plan: ComparisonPlan,
        places: Places,
        watcher: Watcher,
    ) -> Decision:
        base, head = (
            BenchmarkSide.at(
                name, args, launcher, place, here=Path.cwd(), env=os.environ, within_s=self.run_timeout_s
            )
            for name, place in zip(NAMES, places, strict=True)
        )
        return compare_benchmarks(plan, base, head, watcher)

    def _scenarios(
        self, scenario: Scenario, plan: ComparisonPlan, places: Places, watcher: Watcher
    ) -> Decision:
        base, head = (
            RecordedSide(name, scenario, place, plan.folder / RUNS)
            for name, place in zip(NAMES, places, strict=True)
        )
        before, after = (
            ExplainedScenario(name, scenario, place) for name, place in zip(NAMES, places, strict=True)
        )
        return compare(plan, base, head, watcher, (before, after) if self.explains else None)


def _is_file(word: str) -> bool:
    # A word may be a whole script, which is too long for a name, or has a zero byte in it.
    with suppress(OSError, ValueError):
        return Path(word).is_file()
    return False


def command_of(text: str) -> tuple[str, ...]:
    """A command and its arguments, as a shell splits them.

    Raises:
        UsageError: It is empty, or a quotation is not closed.
    """
    if not (command := words_of(text)):
        raise UsageError("expected a program and its arguments, got nothing")
    return command


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, as a shell splits them.

    Raises:
        UsageError: A quotation is not closed.
    """
    try:
        return tuple(shlex.split(text))
    except ValueError as exc:
        raise UsageError(f"{text}: {str(exc)[:1].lower()}{str(exc)[1:]}") from None


@contextmanager
def interruptible(*, until_eof: bool = False) -> Iterator[None]:
    """SIGTERM is as Ctrl-C: what is known so far is told. So is, with *until_eof*, the end of stdin.

    Whoever starts a comparison holds its stdin, so that it does not outlive them, whatever ends them.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def wait_for_eof() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, interrupt)
    if until_eof:
        Thread(target=wait_for_eof, daemon=True).start()
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
