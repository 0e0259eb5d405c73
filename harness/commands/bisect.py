"""`harness bisect`: finds the revision that made something slower."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..bisecting import BisectSession, as_json
from ..comparing import ComparisonPlan, keep, make_folder
from ..drive.bench.checkout import Commit, Repository
from ..drive.bench.revisions import Revisions
from ..errors import UsageError
from ..read.compare.decision import decision
from ..read.compare.decision.decision import ComparedSide, Decision
from ..read.units import printable
from ..record.run import new_id
from ..record.scenario import load
from ..runs import noting
from . import amount, completion, results
from .bench_sides import SidesAsked, command_of, interruptible
from .metric_option import MetricsAsked, metric_options
from .pace_display import PaceDisplay
from .side_options import RunsAsked, side_options
from .summary import SUMMARIES


@click.command(short_help=SUMMARIES["bisect"])
@click.argument(
    "scenario", required=False, type=click.Path(path_type=Path), shell_complete=completion.scenarios
)
@click.option("--command", metavar="COMMAND", help="A program instead of a scenario.")
@click.option("--good", required=True, metavar="REV", help="A revision that is not slower.")
@click.option("--bad", default="HEAD", show_default=True, metavar="REV", help="One that is.")
@metric_options
@click.option(
    "--max-minutes",
    default=60.0,
    show_default=True,
    metavar="N",
    type=amount.minutes(),
    help="End it after N minutes; it goes on with the same --out.",
)
@side_options
@click.option("--json", "is_json", is_flag=True, help="Print the result as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def bisect(
    scenario: Path | None,
    command: str | None,
    good: str,
    bad: str,
    metrics_asked: MetricsAsked,
    max_minutes: float,
    runs_asked: RunsAsked,
    is_json: bool,
    quiet: bool,
) -> int:
    """Compare revisions between --good and --bad with the good one, by halves, as `harness bench` does.

    A revision that cannot be told or cannot be run is passed over; the result is then the smallest range that
    is certain. Merges count as one revision: only first parents are followed.

    \b
    Exit status:
      0  the bad revision is not slower
      1  the revision that made it slower is found
      2  usage or scenario error
      3  only a range is found, or it cannot be told
      130  interrupted; the same --out goes on
    """
    if (scenario is None) == (command is None):
        raise UsageError("name a SCENARIO or a --command")
    sides = SidesAsked(
        scenario=load(scenario, overrides=runs_asked.overrides) if scenario is not None else None,
        commands=(command_of(command or ""),) * 2 if scenario is None else (),
        run_timeout_s=runs_asked.run_timeout_s,
        explains=False,
    )
    repository = Repository.around(Path.cwd())
    commits = repository.between(good, bad)
    bisect_id = new_id("bisect")
    folder = runs_asked.folder(bisect_id)

    with interruptible(), PaceDisplay(within_s=max_minutes * 60, quiet=quiet) as display:
        if count := repository.uncommitted():
            display.tell(f"files with changes that are not committed: {count}; they are in no revision")

        def decide(commit: Commit, into: Path, within_s: float) -> Decision:
            plan = ComparisonPlan(
                id=new_id("bisect"),
                folder=into,
                base=ComparedSide("base", f"{sides.names()[0]} at {good}", commits[0].id[:12]),
                head=ComparedSide("head", f"{sides.names()[1]} at {commit.id[:12]}", commit.id[:12]),
                measures_of=sides.measures_of,
                seed=runs_asked.seed,
                within_s=within_s,
                limit=metrics_asked.limit,
                metrics=metrics_asked.metrics,
            )
            make_folder(into)
            revisions = Revisions.named(commits[0].id, commit.id, around=Path.cwd())
            with revisions.places(
                runs_asked.pip, same_environment=runs_asked.same_environment, tell=display.tell
            ) as places:
                decided = sides.decide(plan, places, display)
            _note(noting.note_decided(decision.as_json(decided)))
            keep(decided, into)
            return decided

        asked = {
            "what": sides.names()[0],
            "good": commits[0].id,
            "bad": commits[-1].id,
            "limit": metrics_asked.limit,
            "metrics": dict(metrics_asked.metrics),
        }
        found = BisectSession(commits, folder, asked, max_minutes * 60, decide, display.tell).run()
    _note(noting.note_searched(as_json(found), bisect_id))
    if is_json:
        results.write(json.dumps(as_json(found), indent=1) + "\n")
    else:
        lines = [found.sentence, *(f"  {one.commit[:12]} {one.answer}: {one.subject}" for one in found.steps)]
        results.write("".join(f"{printable(line)}\n" for line in lines))
    return found.exit_status


def _note(missing: str) -> None:
    """Say what is missing in the history, if anything is."""
    if missing:
        results.write(f"harness: {missing}\n", err=True)
