"""`harness run`: runs a scenario, judges it, and shows the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import completion
from .calls_option import CallsAsked, calls_options
from .console_option import console_options
from .display_option import DisplayAsked, display_options
from .hang_option import hang_options
from .output_option import OutputAsked, output_options
from .profile_option import ProfileAsked, profile_options
from .summary import SUMMARIES
from .waits_option import waits_option

if TYPE_CHECKING:
    from ..record.probe_config import ConsoleConfig


@click.command(short_help=SUMMARIES["run"])
@click.argument("scenario", type=click.Path(path_type=Path), shell_complete=completion.scenarios)
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: reports/<run id>]")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the scenario.")
@click.option("--seed", type=int, metavar="N", help="Same seed, same schedule of load and faults.")
@profile_options
@waits_option
@hang_options
@console_options
@calls_options
@display_options
@output_options
def run(
    scenario: Path,
    out: Path | None,
    overrides: tuple[str, ...],
    seed: int | None,
    console: ConsoleConfig | None,
    profile_asked: ProfileAsked,
    waits: float | None,
    hang_ms: float | None,
    hang_exit_s: float | None,
    calls_asked: CallsAsked,
    display: DisplayAsked,
    output: OutputAsked,
) -> int:
    """Start the target of the file SCENARIO, apply its load and faults, and judge what happened.

    \b
    harness run scenarios/first.toml --set load.rate_per_s=40

    The first Ctrl-C shuts down gracefully and reports what was recorded; the second stops at once.

    Of a folder, every scenario is run, one after the other; the exit status is that of the worst.

    \b
    Exit status:
      0  all expectations met
      1  an expectation failed
      2  usage or scenario error; nothing was started
      3  invalid measurement
      4  the target did not start, or died on its own
      130  interrupted
    """
    # Not at the top: `--help` needs none of it, and the model of a scenario takes long to load.
    from ..record.scenario import load
    from .capacity import find_capacity
    from .scenario_batch import run_all
    from .single_run import ScenarioOrder, run_one

    given = {"seed": seed, "probe.waits": waits, "probe.hang_ms": hang_ms, "probe.hang_exit_s": hang_exit_s}
    options = [f"{key}={value}" for key, value in given.items() if value is not None]
    changes = (*overrides, *profile_asked.overrides(), *options)

    def order(file: Path, folder: Path | None, *more: str) -> ScenarioOrder:
        asked = load(file, overrides=(*changes, *more))
        return ScenarioOrder(file, asked, folder, console, calls_asked, display, output)

    if scenario.is_dir():
        return run_all(scenario, out, order)
    single = order(scenario, out)
    if single.scenario.load is not None and single.scenario.load.find:
        return find_capacity(single, lambda folder, *more: order(scenario, folder, *more))
    return run_one(single).exit_status
