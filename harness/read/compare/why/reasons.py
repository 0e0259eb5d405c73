"""Why the head is slower, worst first: from a few runs of each side that were sampled and traced.

Functions and spans differ from run to run for no reason. Only what differs by more than the runs of one side
differ among themselves is told, so runs that are alike show nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from statistics import fmean, variance

from ....record.comparison.pairs import Measured
from ....record.event import Frame
from ....stacks.cause import Cause
from ...blocks.block import Block
from ...evidence import Evidence
from ...units import duration
from ..measures import record as record_measures
from ..measures.steps import step_counts
from ..paired.estimate import student_quantile
from .function_time import FunctionTime, FunctionTimes, function_times
from .place import ChangedLines
from .reason import ReasonFound, ReasonKind

# The risk that a function is told for no reason, which all functions share.
RISK = 0.05
# Less than this share of the loop's time explains nothing.
LEAST_SHARE = 0.01
# One that is in every run of the head and in none of the base is told from this share on.
NEW_SHARE = 0.03
LEAST_RUNS = 2
MOST = 12
# What is counted per request, and is told if it grew by this much.
COUNTS = {"turns": "turns of the loop", "callbacks": "callbacks of the loop", "spans": "spans"}
GREW = 0.1
# Fewer tasks of one function for each request come and go by themselves.
LEAST_TASKS = 0.05


@dataclass(frozen=True, slots=True)
class ExplainedRun:
    """One run of a side, with samples and the time of spans."""

    evidence: Evidence
    measured: Measured
    units: float  # requests that were answered, or 1

    @classmethod
    def of(cls, evidence: Evidence) -> ExplainedRun:
        """A run by its record."""
        units = record_measures.units(evidence.history)
        return cls(evidence, record_measures.of_record(evidence), units or 1.0)


def reasons(
    base: Sequence[ExplainedRun], head: Sequence[ExplainedRun], changed: ChangedLines
) -> tuple[ReasonFound, ...]:
    """What explains that the head takes longer, what costs most first."""
    if min(len(base), len(head)) < LEAST_RUNS:
        return ()
    found = [
        *_blocks(base, head, changed),
        *heavier(_times(base), _times(head), changed, per=_per(head)),
        *_spans(base, head),
        *_counts(base, head),
        *_tasks(base, head, changed),
    ]
    return tuple(sorted(found, key=lambda one: (-one.cost_ms, not one.changed))[:MOST])


def _blocks(
    base: Sequence[ExplainedRun], head: Sequence[ExplainedRun], changed: ChangedLines
) -> Iterator[ReasonFound]:
    """Places that hold the loop longer than before, beyond what differs among the runs."""
    before, after = (_held(runs) for runs in (base, head))
    for key in sorted({**before, **after}):
        old, new = _padded(before.get(key, []), base), _padded(after.get(key, []), head)
        more = fmean(new) - fmean(old)
        if not _is_more(old, new, tests=max(1, len(after))):
            continue
        blocks = [block for run in head for block in _own_blocks(run) if _place(block) == key]
        one = max(blocks, key=lambda block: block.held_ms)
        is_new = not any(old)
        what = f"{'new block' if is_new else 'longer or more blocks'} in {one.function} ({one.where})"
        leaf = f", {one.leaf}" if one.leaf else ""
        count = len(blocks) / len(head)
        yield ReasonFound(
            ReasonKind.IMPORT if one.cause == Cause.IMPORT else ReasonKind.BLOCK,
            f"{what}{leaf}: {count:.3g} per run, for up to {duration(one.held_ms)}",
            more,
            changed.file(one.file),
            one.line,
            changed.among(one.file, {block.line for block in blocks}),
        )


def _held(runs: Sequence[ExplainedRun]) -> dict[tuple[str, str], list[float]]:
    """By place, the time that it held the loop per request, of each run in which it did."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in runs:
        held: dict[tuple[str, str], float] = defaultdict(float)
        for block in _own_blocks(run):
            held[_place(block)] += block.held_ms / run.units
        for key, ms in held.items():
            found[key].append(ms)
    return found


def _own_blocks(run: ExplainedRun) -> list[Block]:
    """Without those in which the process got no processor: they are the machine's."""
    return [block for block in run.evidence.blocks if block.cause != Cause.DESCHEDULED]


def _place(block: Block) -> tuple[str, str]:
    return block.function, block.where.rpartition(":")[0]


def heavier(
    before: Sequence[FunctionTimes], after: Sequence[FunctionTimes], changed: ChangedLines, *, per: str
) -> Iterator[ReasonFound]:
    """The functions that take longer than before, from the times in each run of base and head.

    Args:
        before: Of the runs of the base.
        after: Of the head.
        changed: The lines that the head has and the base has not.
        per: What the times are divided by: ``per request``.
    """
    keys = sorted({key for times in (*before, *after) for key in times})
    whole_ms = fmean([sum(time.ms for time in times.values()) for times in after] or [0.0])
    for key in keys:
        old, new = ([times[key].ms if key in times else 0.0 for times in side] for side in (before, after))
        more = fmean(new) - fmean(old)
        # A function that takes so much would have been seen in the base, however much its times vary.
        is_new = not any(old) and all(new) and more >= NEW_SHARE * whole_ms
        if more < LEAST_SHARE * whole_ms or not (is_new or _is_more(old, new, tests=len(keys))):
            continue
        one = _merged([times[key] for times in after if key in times])
        line = f"{one.where}:{one.line}"
        what = "is new, and takes" if not any(old) else f"takes {duration(fmean(old))} →"
        yield ReasonFound(
            ReasonKind.FUNCTION,
            f"{one.function} ({line}) {what} {duration(fmean(new))} {per}",
            more,
            changed.file(one.file),
            one.line,
            changed.function(one.file, one.lines.keys()),
        )


def _times(runs: Sequence[ExplainedRun]) -> list[FunctionTimes]:
    return [function_times(run.evidence.history, run.units, whole_ms=_worked_ms(run)) for run in runs]


def _worked_ms(run: ExplainedRun) -> float | None:
    """The time that the loops of a run worked: in turns, but no longer than on a processor or in a call."""
    loop = run.evidence.loop
    if loop.busy_ratio is None or loop.ran_s is None:
        return None
    busy_ms = loop.busy_ratio * loop.ran_s * 1000
    cpu_us = run.measured.get(record_measures.LOOP_CPU, run.measured.get(record_measures.PROCESS_CPU))
    if cpu_us is None:
        return busy_ms
    off_ms = sum(block.held_ms for block in _own_blocks(run) if block.cause == Cause.CALL)
    return min(busy_ms, cpu_us / 1000 * run.units + off_ms)


def _merged(times: Sequence[FunctionTime]) -> FunctionTime:
    first = times[0]
    whole = FunctionTime(first.function, first.where, first.file)
    for time in times:
        for line, ms in time.lines.items():
            whole.lines[line] += ms
    return whole


def _spans(base: Sequence[ExplainedRun], head: Sequence[ExplainedRun]) -> Iterator[ReasonFound]:
    names = sorted({name.name for run in (*base, *head) for name in run.evidence.spans.by_name})
    for name in names:
        for part, doing in (("run", "runs"), ("ready", "stands ready"), ("wait", "waits")):
            old, new = (_span_part(runs, name, part) for runs in (base, head))
            if min(len(old), len(new)) < LEAST_RUNS or not _is_more(old, new, tests=3 * len(names)):
                continue
            grown = f"{duration(fmean(old))} → {duration(fmean(new))}"
            yield ReasonFound(ReasonKind.SPAN, f"span {name} {doing} {grown}", fmean(new) - fmean(old))
        old, new = (_span_count(runs, name) for runs in (base, head))
        if fmean(new) > fmean(old) * (1 + GREW) and _is_more(old, new, tests=3 * len(names)):
            counted = f"{fmean(old):.3g} → {fmean(new):.3g} {_per(head)}"
            yield ReasonFound(ReasonKind.COUNT, f"span {name}: {counted}", 0.0)


def _span_part(runs: Iterable[ExplainedRun], name: str, part: str) -> list[float]:
    found = [
        getattr(one, f"{part}_ms") for run in runs for one in run.evidence.spans.by_name if one.name == name
    ]
    return [value for value in found if value is not None]


def _span_count(runs: Iterable[ExplainedRun], name: str) -> list[float]:
    return [
        sum(one.count for one in run.evidence.spans.by_name if one.name == name) / run.units for run in runs
    ]


def _counts(base: Sequence[ExplainedRun], head: Sequence[ExplainedRun]) -> Iterator[ReasonFound]:
    for key, what in COUNTS.items():
        old, new = ([run.measured[key] for run in runs if key in run.measured] for runs in (base, head))
        if not old or not new or fmean(new) <= fmean(old) * (1 + GREW):
            continue
        if _is_more(old, new, tests=len(COUNTS)):
            yield ReasonFound(
                ReasonKind.COUNT, f"more {what}: {fmean(old):.3g} → {fmean(new):.3g} {_per(head)}", 0.0
            )


def _tasks(
    base: Sequence[ExplainedRun], head: Sequence[ExplainedRun], changed: ChangedLines
) -> Iterator[ReasonFound]:
    """The functions that run as more tasks than before; a function is one wherever its lines have moved."""
    before, after = ([_tasks_per_unit(run) for run in runs] for runs in (base, head))
    if not all(before) or not all(after):
        return
    for key in sorted({key for tasks in after for key in tasks}):
        old, new = ([tasks[key].count if key in tasks else 0.0 for tasks in side] for side in (before, after))
        grew = max(LEAST_TASKS, GREW * fmean(old))
        if fmean(new) - fmean(old) < grew or not _is_more(old, new, tests=len(after[0])):
            continue
        at = next(tasks[key].at for tasks in reversed(after) if key in tasks)
        yield ReasonFound(
            ReasonKind.COUNT,
            f"more tasks of {at.function} ({changed.file(at.file)}:{at.line}): "
            f"{fmean(old):.3g} → {fmean(new):.3g} {_per(head)}",
            0.0,
            changed.file(at.file),
            at.line,
            changed.function(at.file, {at.line}),
        )


@dataclass(frozen=True, slots=True)
class _TasksOf:
    at: Frame
    count: float  # per request or run


def _tasks_per_unit(run: ExplainedRun) -> dict[tuple[str, str], _TasksOf]:
    history = run.evidence.history
    counts = step_counts(history, *record_measures.loaded(history))
    found: dict[tuple[str, str], _TasksOf] = {}
    for at, count in counts.tasks.items() if counts is not None else ():
        key = (at.function, PurePath(at.file).name)
        known = found[key].count if key in found else 0.0
        found[key] = _TasksOf(at, known + count / run.units)
    return found


def _is_more(old: Sequence[float], new: Sequence[float], *, tests: int) -> bool:
    """Whether *new* is larger by more than the values of one side differ among themselves."""
    more = fmean(new) - fmean(old)
    freedom = len(old) + len(new) - 2
    if more <= 0 or freedom < 1:
        return False
    error = math.sqrt(_variance(old) / len(old) + _variance(new) / len(new))
    # With two runs of each, Student's quantile for a shared risk is out of reach of anything real.
    return more > student_quantile(1 - RISK / tests, max(freedom, 3)) * error


def _variance(values: Sequence[float]) -> float:
    return variance(values) if len(values) > 1 else 0.0


def _padded(values: list[float], runs: Sequence[ExplainedRun]) -> list[float]:
    return values + [0.0] * (len(runs) - len(values))


def _per(runs: Sequence[ExplainedRun]) -> str:
    return "per request" if runs[0].evidence.history.requests else "per run"
