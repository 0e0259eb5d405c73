"""Runs of a side with samples and the time of spans, which say why and not how fast."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...errors import TargetError
from ...record.run import MANIFEST
from ...record.run_folder import RunFolder
from ...record.scenario import Scenario
from ..process.guard import Guard
from .program import ProgramSide
from .scenario_run import SidePlace, run_once

# Often enough that a percent of a short run has samples; it costs the runs a few percent, on both sides.
HZ = 500


class ExplainedSide(Protocol):
    """A side that can be run for its reasons."""

    @property
    def name(self) -> str:
        """``base`` or ``head``."""

    def run_into(self, folder: Path) -> RunFolder:
        """Run it once, with its record in the new *folder*."""


@dataclass(frozen=True, slots=True)
class ExplainedScenario:
    """A scenario in one revision."""

    name: str
    scenario: Scenario
    place: SidePlace

    def run_into(self, folder: Path) -> RunFolder:
        """See `ExplainedSide`.

        Raises:
            HarnessError: It could not be run.
        """
        probe = self.scenario.probe.model_copy(update={"sample_hz": HZ, "waits": 1.0})
        return run_once(self.scenario.model_copy(update={"probe": probe}), self.place, folder)


@dataclass(frozen=True, slots=True)
class ExplainedProgram:
    """A program, run by `harness watch` in a process of its own: what it prints is of no interest here."""

    side: ProgramSide

    @property
    def name(self) -> str:
        """``base`` or ``head``."""
        return self.side.name

    def run_into(self, folder: Path) -> RunFolder:
        """See `ExplainedSide`.

        Raises:
            TargetError: There is no record of it.
        """
        asked = ("--sample", str(HZ), "--waits", "1", "--block-ms", "20", "--quiet", "--out", str(folder))
        # Isolated, so that the program's PYTHONPATH does not change what the harness itself imports.
        with subprocess.Popen(
            [sys.executable, "-I", "-m", "harness", "watch", *asked, "--", *self.side.command],
            cwd=self.side.cwd,
            env=self.side.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                # Killed with the runner, it would go on.
                with Guard() as guard:
                    guard.over(process.pid)
                    process.wait(self.side.within_s)
            except subprocess.TimeoutExpired:
                raise TargetError(
                    f"{self.name}: with samples, the program did not end within {self.side.within_s:g} s"
                ) from None
            except BaseException:
                process.terminate()
                raise
        if not (folder / MANIFEST).exists():
            raise TargetError(f"{self.name}: harness watch left no record in {folder}")
        return RunFolder(folder)
