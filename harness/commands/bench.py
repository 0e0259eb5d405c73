"""`harness bench`: runs two sides in turn, and says whether one is slower."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from ..comparing import ComparisonPlan, keep, make_folder
from ..drive.bench.revisions import Revisions
from ..drive.bench.scenario_run import SidePlace
from ..errors import UsageError
from ..read.compare.decision.decision import ComparedSide
from ..read.compare.paired.allowed import Allowed
from ..read.compare.why.place import ChangedLines
from ..record.run import new_id
from ..record.scenario import load
from . import amount, completion
from .allowed_option import allowed_options
from .bench_sides import Places, SidesAsked, command_of, interruptible, words_of
from .decision_output import DecisionOutput, decision_output
from .metric_option import MetricsAsked, metric_options
from .pace_display import PaceDisplay
from .side_options import RunsAsked, side_options
from .summary import SUMMARIES


@click.command(short_help=SUMMARIES["bench"])
@click.argument(
    "scenario", required=False, type=click.Path(path_type=Path), shell_complete=completion.scenarios
)
@click.option("--command", metavar="COMMAND", help="A program instead of a scenario.")
@click.option("--pytest", "pytest_args", metavar="ARGS", help="Benchmarks that pytest runs with ARGS.")
@click.option("--base", metavar="REV", help="The git revision to compare with.")
@click.option("--head", metavar="REV", help="The revision that may be slower.  [default: the files here]")
@click.option("--base-command", metavar="COMMAND", help="The program to compare with.")
@click.option("--head-command", metavar="COMMAND", help="The program that may be slower.")
@click.option("--aa", "is_self", is_flag=True, help="Compare the base with itself, to learn the noise.")
@metric_options
@allowed_options
@click.option(
    "--max-minutes",
    default=15.0,
    show_default=True,
    metavar="N",
    type=amount.minutes(),
    help="End it after N minutes.",
)
@side_options
@click.option("--until-eof", is_flag=True, hidden=True, help="Stop when standard input ends.")
@click.option("--no-why", is_flag=True, help="Do not look for the reason.")
@decision_output
def bench(
    scenario: Path | None,
    command: str | None,
    pytest_args: str | None,
    base: str | None,
    head: str | None,
    base_command: str | None,
    head_command: str | None,
    is_self: bool,
    metrics_asked: MetricsAsked,
    allowed: Allowed,
    max_minutes: float,
    runs_asked: RunsAsked,
    until_eof: bool,
    no_why: bool,
    output: DecisionOutput,
) -> int:
    """Run two sides in turn until it is clear whether the head is slower: a SCENARIO, a program or the
    benchmarks of a test suite in two git revisions, or two programs.

    \b
    harness bench scenarios/first.toml --base main
    harness bench --command "python -m shop.replay" --base v1.4 --head HEAD
    harness bench --pytest benchmarks --base main
    harness bench --base-command "old/python a.py" --head-command "python a.py"
    harness bench --aa --command "python replay.py"   # what this machine can see

    The sides run in both orders, base head head base or the other way round. What looks slower must show the
    same in fresh pairs. CPU time decides. Revisions are checked out in folders that do not stay, with
    environments that do.

    \b
    Exit status:
      0  not slower
      1  slower
      2  usage or scenario error
      3  it cannot be told, or a result cannot be written
      4  a side cannot be installed, did not start, or failed
      130  interrupted; what is known is told
    """
    two_programs = base_command is not None or head_command is not None
    asked = (scenario is not None, command is not None, pytest_args is not None, two_programs)
    if sum(asked) != 1:
        raise UsageError("name a SCENARIO, a --command, a --pytest, or a --base-command and a --head-command")
    if two_programs and (base or head):
        raise UsageError("--base and --head are revisions, for a SCENARIO, a --command or a --pytest")
    if is_self and (head or head_command):
        raise UsageError("--aa compares the base with itself; name no head")
    if not is_self and (base_command if two_programs else base) is None:
        raise UsageError(f"nothing to compare with: name --base{'-command' if two_programs else ''}, or --aa")
    if two_programs and not is_self and head_command is None:
        raise UsageError("nothing to compare with: name a --head-command, or --aa")
    both = (base_command, head_command or base_command) if two_programs else (command, command)
    sides = SidesAsked(
        scenario=load(scenario, overrides=runs_asked.overrides) if scenario is not None else None,
        commands=tuple(command_of(text) for text in both if text is not None),
        run_timeout_s=runs_asked.run_timeout_s,
        explains=not no_why,
        pytest=words_of(pytest_args) if pytest_args is not None else None,
    )
    bench_id = new_id("bench")
    plan = ComparisonPlan(
        id=bench_id,
        folder=runs_asked.folder(bench_id),
        base=ComparedSide("base", sides.names()[0]),
        head=ComparedSide("head", sides.names()[-1], file=str(scenario or sides.file())),
        measures_of=sides.measures_of,
        seed=runs_asked.seed,
        within_s=max_minutes * 60,
        limit=metrics_asked.limit,
        metrics=metrics_asked.metrics,
        allowed=allowed,
        is_self=is_self,
    )
    make_folder(plan.folder)
    with (
        interruptible(until_eof=until_eof),
        PaceDisplay(within_s=plan.within_s, quiet=output.quiet) as display,
    ):
        if base is None:
            decided = sides.decide(plan, (SidePlace(), SidePlace()), display)
        else:
            revisions = Revisions.named(base, base if is_self else head, around=Path.cwd())
            same_environment = runs_asked.same_environment or (
                # Tests need more than their project's own files ask for, and here they have it.
                sides.pytest is not None and not runs_asked.pip and revisions.same_dependencies()
            )
            with revisions.places(
                runs_asked.pip, same_environment=same_environment, tell=display.tell
            ) as places:
                decided = sides.decide(_of_revisions(plan, revisions, places), places, display)
    output.show(decided)
    keep(decided, plan.folder)
    return decided.exit_status


def _of_revisions(plan: ComparisonPlan, revisions: Revisions, places: Places) -> ComparisonPlan:
    """The plan with what is known of the revisions."""
    sides = tuple(
        replace(side, what=f"{side.what} at {revision.name}", commit=revision.commit[:12])
        for side, revision in zip((plan.base, plan.head), revisions.both, strict=True)
    )
    head = places[1].checkout
    changed = ChangedLines(
        str(head.path if head is not None else revisions.repository.top), revisions.changed_lines()
    )
    return replace(plan, base=sides[0], head=sides[1], notes=revisions.notes(), changed=changed)
