"""`harness compare`: says whether records of one side are slower than those of another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ..errors import UsageError
from ..read.compare import comparison, summary
from ..read.compare.decision.decision import ComparedSide, Decision, decision
from ..read.compare.measures import record as record_measures
from ..read.compare.paired import once
from ..read.compare.paired.allowed import Allowed
from ..read.compare.profile_diff import profile_diff
from ..read.compare.records import RecordedRun, in_turn, runs_in
from ..read.compare.sameness import not_same
from ..read.compare.soundness import unsound
from ..read.compare.why.place import ChangedLines
from ..read.compare.why.reasons import ExplainedRun, reasons
from ..read.report import build
from ..record.run import new_id
from . import completion, failure
from .allowed_option import allowed_options
from .decision_output import DecisionOutput, decision_output
from .metric_option import MetricsAsked, metric_options
from .summary import SUMMARIES


@click.command(short_help=SUMMARIES["compare"])
@click.argument("base", type=click.Path(path_type=Path), shell_complete=completion.runs)
@click.argument("head", type=click.Path(path_type=Path), shell_complete=completion.runs)
@metric_options
@allowed_options
@decision_output
def compare(
    base: Path, head: Path, metrics_asked: MetricsAsked, allowed: Allowed, output: DecisionOutput
) -> int:
    """Compare the runs in the folders BASE and HEAD: each one run, or a folder with at least five.

    Runs that were taken in turn are compared as pairs. Others are two groups, between which the machine's
    speed may have changed: counts can be told, and times only if they differ by more than that. Of one run
    each, the differences are shown, and nothing is decided. Nor is it where a run crashed, is invalid or was
    cut off.

    \b
    Exit status:
      0  not slower
      1  slower
      2  usage error, or a record that cannot be read
      3  it cannot be told
    """
    with failure.judging(head):
        before, after = runs_in(base), runs_in(head)
        decided = _decided(base, head, before, after, metrics_asked, allowed)
    output.show(decided)
    return decided.exit_status


def _decided(
    base: Path,
    head: Path,
    before: Sequence[RecordedRun],
    after: Sequence[RecordedRun],
    asked: MetricsAsked,
    allowed: Allowed,
) -> Decision:
    names = list(dict.fromkeys(name for run in (*before, *after) for name in run.measured))
    why_not = unsound(before, after)
    # A run that crashed may lack a figure for that reason.
    if not why_not and (missing := [name for name in asked.metrics if name not in names]):
        exc = UsageError(f"--metric {missing[0]}: no such figure was measured")
        exc.add_note(f"There are: {', '.join(names)}.")
        raise exc
    measures = record_measures.measures(names, asked.metrics, limit=asked.limit)
    pairs = in_turn(before, after)
    if pairs is not None:
        trial = once.judge_pairs(pairs, measures)
    else:
        trial = once.judge_groups([run.measured for run in before], [run.measured for run in after], measures)
    old, new = ([ExplainedRun.of(run.evidence) for run in runs] for runs in (before, after))
    first, last = before[0].evidence.history.run, after[0].evidence.history.run
    return decision(
        allowed.applied(trial),
        comparison_id=new_id("compare"),
        base=ComparedSide("base", str(base), first.commit),
        head=ComparedSide("head", str(head), last.commit, last.scenario_file),
        reasons=reasons(old, new, ChangedLines()),
        notes=tuple(_notes(before, after, in_turn=pairs is not None)),
        unsound=why_not,
    )


def _notes(before: Sequence[RecordedRun], after: Sequence[RecordedRun], *, in_turn: bool) -> list[str]:
    first, last = before[0].evidence.history, after[0].evidence.history
    notes = [f"not the same: {text}" for text in not_same(first.run, last.run)]
    if len(before) > 1 or len(after) > 1:
        order = "in turn" if in_turn else "not in turn"
        return [*notes, f"{len(before)} runs of the base and {len(after)} of the head, taken {order}"]
    between = comparison.comparison(build(first), build(last), profile_diff(first, last))
    return [*notes, *(f"{line.sign} {line.text}" for line in summary.lines(between, str)), summary.NOTE]
