"""`harness run`: carries out a scenario, judges it, and shows the verdict."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Self

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..drive import manifest, runner
from ..drive.progress import Progress
from ..drive.targets.plan import Plan
from ..errors import HarnessError, MeasurementError, TargetError
from ..record.run import Run, RunFolder, create, new_id
from ..record.scenario import Scenario, load
from .conclusion import conclude

# Without a terminal, a line now and then is enough for a log.
QUIET_EVERY_S = 5.0


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: reports/<run id>]")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the scenario: load.rate_per_s=50"
)
@click.option("--seed", type=int, help="Same seed, same schedule of load and faults.")
@click.option("--console", is_flag=True, help="Open an aiomonitor console in the target, for telnet.")
@click.option("--console-port", type=int, default=0, help="Its port on loopback.  [default: a free one]")
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the summary.")
def run(
    scenario: Path,
    out: Path | None,
    overrides: tuple[str, ...],
    seed: int | None,
    console: bool,
    console_port: int,
    as_json: bool,
) -> int:
    """Start the target of SCENARIO, load it and break it as the scenario says, and judge what happened.

    Exit status: 0 all expectations met, 1 one failed, 2 usage or scenario error, 3 invalid measurement,
    4 the target did not start or died, 130 interrupted.
    """
    asked = load(scenario, overrides=(*overrides, *([f"seed={seed}"] if seed is not None else [])))
    run_id = new_id(asked.name)
    folder = RunFolder((out or Path("reports") / run_id).resolve())
    plan = runner.plan(asked, folder)
    made = manifest.new_run(
        run_id,
        scenario=asked.name,
        command=plan.command,
        block_limit_ms=asked.probe.block_ms,
        seed=asked.seed,
        expectations=asked.expectations,
        max_late_ms=asked.load.max_late_ms if asked.load else None,
        settings=asked.model_dump(mode="json", by_alias=True),
    )
    create(folder.path, made)
    failure = _carry_out(asked, made, folder, plan, console_port if console else None)
    status = conclude(folder, show_json=as_json)
    if failure is not None:
        click.echo(f"harness: {failure}", err=True)
        status = failure.exit_code
    return status


def _carry_out(
    scenario: Scenario, made: Run, folder: RunFolder, plan: Plan, console_port: int | None
) -> HarnessError | None:
    with _Display(scenario.name) as display:
        try:
            asyncio.run(_run(scenario, made, folder, plan, console_port, display.show))
        except (MeasurementError, TargetError) as exc:
            return exc
        except (KeyboardInterrupt, asyncio.CancelledError):
            return None  # the record says that it was interrupted
    return None


async def _run(
    scenario: Scenario,
    made: Run,
    folder: RunFolder,
    plan: Plan,
    console_port: int | None,
    on_progress: Callable[[Progress], None],
) -> None:
    task = asyncio.current_task()
    assert task is not None
    # As for a Ctrl-C: stop the target with manners, and report what there is.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await runner.carry_out(scenario, made, folder, plan, console_port=console_port, on_progress=on_progress)


class _Display:
    """Live progress on stderr: one line that changes on a terminal, a line now and then elsewhere."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._told_s = -QUIET_EVERY_S
        self._console_told = False

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Take one look at the run."""
        if progress.console and not self._console_told:
            self._console_told = True
            self._console.print(Text.assemble("console: ", (progress.console, "bold")))
        line = self._line(progress)
        if self._console.is_terminal:
            self._live.update(line, refresh=True)
        elif progress.at_s >= self._told_s + QUIET_EVERY_S:
            self._told_s = progress.at_s
            self._console.print(line)

    def _line(self, now: Progress) -> Text:
        p99 = "–" if now.p99_ms is None else f"{now.p99_ms:,.0f} ms"
        return Text.assemble(
            (f"{self._name} {now.at_s:5.1f} s  ", "bold"),
            (f"{now.phase:<9}", "cyan"),
            f"  sent {now.sent:,}  done {now.completed:,}  {now.rate_per_s:,.0f}/s  p99 {p99}",
            f"  lag {now.lag_ms:,.0f} ms  ",
            (f"blocks {now.blocks}", "red" if now.blocks else "green"),
            (f"  failed {now.failed:,}", "yellow") if now.failed else "",
        )
