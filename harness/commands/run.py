"""`harness run`: runs a scenario, judges it, and shows the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path

import click

from ..drive import manifest, runner
from ..drive.progress import Progress
from ..drive.targets.spec import TargetSpec
from ..errors import MeasurementError, TargetError
from ..record.probe_config import ConsoleConfig
from ..record.run import Run, RunFolder, create, new_id
from ..record.scenario import Scenario, load
from . import completion, failure
from .calls_option import CallsAsked, calls_options
from .conclusion import conclude
from .console_option import console_options
from .display import Display
from .display_option import DisplayAsked, display_options
from .profile_option import ProfileAsked, profile_options
from .waits_option import waits_option


@click.command(short_help="Run a scenario: load a service and break it.")
@click.argument("scenario", type=click.Path(path_type=Path), shell_complete=completion.scenarios)
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: reports/<run id>]")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the scenario.")
@click.option("--seed", type=int, metavar="N", help="Same seed, same schedule of load and faults.")
@profile_options
@waits_option
@console_options
@calls_options
@display_options
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the summary.")
def run(
    scenario: Path,
    out: Path | None,
    overrides: tuple[str, ...],
    seed: int | None,
    console: ConsoleConfig | None,
    profile_asked: ProfileAsked,
    waits: float | None,
    as_json: bool,
    calls_asked: CallsAsked,
    display: DisplayAsked,
) -> int:
    """Start the target of the file SCENARIO, apply its load and faults, and judge what happened.

    \b
    harness run scenarios/first.toml --set load.rate_per_s=40

    The first Ctrl-C shuts down gracefully and reports what was recorded; the second stops at once.

    \b
    Exit status:
      0  all expectations met
      1  an expectation failed
      2  usage or scenario error; nothing was started
      3  invalid measurement
      4  the target did not start, or died on its own
      130  interrupted
    """
    given = {"seed": seed, "probe.waits": waits}
    options = (f"{key}={value}" for key, value in given.items() if value is not None)
    asked = load(scenario, overrides=(*overrides, *profile_asked.overrides(), *options))
    accepted = calls_asked.settings(counted=asked.probe.calls, by="probe.calls = true")
    run_id = new_id(asked.name)
    folder = RunFolder((out or Path("reports") / run_id).resolve())
    target = runner.target_spec(asked, folder, console=console)
    made = manifest.new_run(
        run_id,
        scenario=asked.name,
        command=target.command,
        block_limit_ms=asked.probe.block_ms,
        seed=asked.seed,
        expectations=asked.expectations,
        max_late_ms=asked.load.max_late_ms if asked.load else None,
        settings=asked.public() | accepted,
    )
    create(folder.path, made)
    # An error that ends the run early is in the record, from which the run is judged.
    expected = contextlib.suppress(MeasurementError, TargetError, asyncio.CancelledError)
    with failure.naming(folder.path), expected:
        with Display(asked.name, quiet=display.quiet) as progress:
            asyncio.run(_run(asked, made, folder, target, console, progress.show))
    with failure.judging(folder.path):
        return conclude(folder, calls_asked, display, show_json=as_json).exit_status


async def _run(
    scenario: Scenario,
    made: Run,
    folder: RunFolder,
    target: TargetSpec,
    console: ConsoleConfig | None,
    on_progress: Callable[[Progress], None],
) -> None:
    task = asyncio.current_task()
    assert task is not None
    # Handlers, since `asyncio.run` alone would raise KeyboardInterrupt anywhere on the second Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await runner.run_scenario(scenario, made, folder, target, console=console, on_progress=on_progress)
