"""One run of a scenario for a comparison: the target of one revision, recorded as `harness run` does."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ...record.run import create, new_id
from ...record.run_folder import RunFolder
from ...record.scenario import Scenario
from .. import manifest, runner
from ..targets.spec import TargetSpec
from .checkout import Checkout
from .venv import PRESENT, Venv


@dataclass(frozen=True, slots=True)
class SidePlace:
    """Where a side runs: the files of its revision, and the environment that it has."""

    checkout: Checkout | None = None  # null: the present files
    venv: Venv = PRESENT

    def folder(self, path: Path) -> Path:
        """Where *path* is in this revision."""
        return path if self.checkout is None else self.checkout.place_of(path)

    def variables(self, own: Mapping[str, str]) -> dict[str, str]:
        """*own* as programs of this side need it."""
        return dict(own) if self.checkout is None else self.venv.variables(self.checkout.path, own)

    def adapted(self, spec: TargetSpec) -> TargetSpec:
        """How to run the target of this side."""
        env = self.variables({**os.environ, **spec.env})
        changed = {name: value for name, value in env.items() if os.environ.get(name) != value}
        return replace(
            spec,
            command=self._command(spec.command),
            cwd=self.folder(spec.cwd),
            env={**spec.env, **changed},
            ledger_command=self._command(spec.ledger_command),
            remove_command=self._command(spec.remove_command),
        )

    def _command(self, command: tuple[str, ...]) -> tuple[str, ...]:
        # The chaos service of a revision is run by the environment of that revision.
        return tuple(self.venv.python if part == sys.executable else part for part in command)


def run_once(scenario: Scenario, place: SidePlace, folder: Path) -> RunFolder:
    """Run the scenario once, into the new *folder*.

    Raises:
        HarnessError: The target did not start, the load failed, or the like.
        KeyboardInterrupt: It was interrupted, and stopped gracefully.
    """
    run_folder = RunFolder(folder)
    target = runner.target_spec(scenario, run_folder, console=None, adapted=place.adapted)
    made = manifest.new_scenario_run(new_id(scenario.name), scenario, target.command)
    if place.checkout is not None:
        made = replace(made, commit=place.checkout.commit[:12])
    create(folder, made)
    try:
        runner.run_until_signal(scenario, made, run_folder, target)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    return run_folder
