"""One run of a scenario, from its start to its report."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

from ..drive import manifest, runner
from ..errors import MeasurementError, TargetError
from ..record.probe_config import ConsoleConfig
from ..record.run import create, new_id
from ..record.run_folder import RunFolder
from ..record.scenario import Scenario
from ..runs import noting
from . import failure
from .calls_option import CallsAsked
from .conclusion import Conclusion, conclude
from .display import Display
from .display_option import DisplayAsked
from .output_option import OutputAsked


@dataclass(frozen=True, slots=True)
class ScenarioOrder:
    """What to run, and what is asked for on the command line."""

    file: Path
    scenario: Scenario
    out: Path | None  # the run's folder
    console: ConsoleConfig | None
    calls: CallsAsked
    display: DisplayAsked
    output: OutputAsked


def run_one(order: ScenarioOrder) -> Conclusion:
    """Run the scenario, judge the record, and show the verdict.

    Raises:
        HarnessError: It could not be started, or its record cannot be judged.
    """
    folder = carry_out(order)
    with failure.judging(folder.path):
        return conclude(folder, order.calls, order.display, order.output)


def carry_out(order: ScenarioOrder) -> RunFolder:
    """Run the scenario; its record is to be judged.

    Raises:
        HarnessError: It could not be started.
    """
    asked = order.scenario
    accepted = order.calls.settings(counted=asked.probe.calls, by="probe.calls = true")
    run_id = new_id(asked.name)
    folder = RunFolder((order.out or Path("reports") / run_id).resolve())
    target = runner.target_spec(asked, folder, console=order.console)
    made = manifest.new_scenario_run(
        run_id, asked, target.command, settings=accepted, scenario_file=order.file
    )
    create(folder.path, made)
    noting.note_begun(folder)
    # An error that ends the run early is in the record, from which the run is judged.
    expected = contextlib.suppress(MeasurementError, TargetError, asyncio.CancelledError)
    with failure.naming(folder.path), expected:
        with Display(asked.name, quiet=order.display.quiet) as progress:
            runner.run_until_signal(
                asked,
                made,
                folder,
                target,
                console=order.console,
                on_progress=progress.show,
                on_hang=progress.tell,
            )
    return folder
