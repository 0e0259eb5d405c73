"""One figure over the runs of one scenario: its points, its levels, and where it changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

from ..errors import UsageError
from ..read.judge.outcome import OutcomeName
from ..read.units import quantity
from ..record.metric import Metric
from ..record.toml.validation import nearest
from .change_points import ChangesUnknownError, change_points
from .column import PLOTTED, column_of
from .row import Cell, number

# Figures of runs that were cut off, or whose load came late, tell of that and not of the program.
TRUSTED = (OutcomeName.PASSED, OutcomeName.FAILED, OutcomeName.OBSERVED)
# What else may differ between the runs on both sides of a change, and explain it.
_CIRCUMSTANCES = ("host", "python", "block_limit_ms", "command", "branch")
# The figures of a page that names none, as far as they were measured.
USUAL = (
    *("blocks.count", "blocks.total_ms", "loop.lag_ms.p99", "loop.lag_ms.max", "loop.busy_ratio"),
    *("load.latency_ms.p50", "load.latency_ms.p99", "load.failed", "run.cpu_per_request_ms"),
    *("ledger.lost", "overhead.cpu_ratio"),
)


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One run."""

    id: str
    started: datetime  # UTC
    value: float
    commit: str  # with ``+`` if there were changes; "" if it is not known
    folder: str


@dataclass(frozen=True, slots=True)
class TrendLevel:
    """Runs between two changes, and their median."""

    start: int
    end: int  # the place after the last one
    value: float


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """Where a figure changed for good."""

    at: int  # the place of the first run after it
    run: str
    commit: str  # of that run; "" if it is not known
    commit_before: str
    before: float  # medians
    after: float
    also: tuple[str, ...]  # what else differs between that run and the one before: ``host a -> b``

    @property
    def change(self) -> float | None:
        """The change as a share of the level before; null where that is 0."""
        return self.after / self.before - 1 if self.before else None


@dataclass(frozen=True, slots=True)
class MetricTrend:
    """The figure *key* in the runs of *scenario*, oldest first."""

    scenario: str
    key: str
    unit: str
    meaning: str
    points: tuple[TrendPoint, ...]
    levels: tuple[TrendLevel, ...]
    changes: tuple[ChangePoint, ...]
    unknown: str  # why it cannot be told whether it changed; "" if it can


def as_json(trend: MetricTrend) -> dict[str, object]:
    """The trend as dictionaries and lists, with the share of each change."""
    changes = [{**asdict(change), "change": change.change} for change in trend.changes]
    return {**asdict(trend), "changes": changes}


def plotted(key: str) -> Metric:
    """The figure *key*, or whose column is so called.

    Raises:
        UsageError: The history has no such figure.
    """
    found = next((figure for figure in PLOTTED if key in (figure.key, column_of(figure.key))), None)
    if found is None:
        exc = UsageError(f"--metric {key}: unknown figure{nearest(key, [figure.key for figure in PLOTTED])}")
        exc.add_note(f"There are: {', '.join(figure.key for figure in PLOTTED)}.")
        raise exc
    return found


def trends(runs: Iterable[dict[str, Cell]], figures: Sequence[Metric]) -> list[MetricTrend]:
    """Each figure of each scenario that has it; *runs* newest first, as they are selected."""
    scenarios: dict[str, list[dict[str, Cell]]] = {}
    for run in reversed(list(runs)):
        if run["outcome"] in TRUSTED:
            scenarios.setdefault(str(run["scenario"]), []).append(run)
    return [
        _trend(scenario, figure, measured)
        for scenario, members in sorted(scenarios.items(), key=lambda item: -len(item[1]))
        for figure in figures
        if (measured := [run for run in members if run[column_of(figure.key)] is not None])
    ]


def _trend(scenario: str, figure: Metric, runs: Sequence[dict[str, Cell]]) -> MetricTrend:
    values = [number(run[column_of(figure.key)]) or 0.0 for run in runs]
    unknown = ""
    try:
        cuts = change_points(values)
    except ChangesUnknownError as exc:
        cuts, unknown = [], str(exc)
    ends = [*cuts, len(values)]
    levels = [
        TrendLevel(start, end, median(values[start:end])) for start, end in zip([0, *cuts], ends, strict=True)
    ]
    return MetricTrend(
        scenario=scenario,
        key=figure.key,
        unit=figure.unit,
        meaning=figure.meaning,
        points=tuple(_point(run, value) for run, value in zip(runs, values, strict=True)),
        levels=tuple(levels),
        changes=tuple(
            ChangePoint(
                at=after.start,
                run=str(runs[after.start]["id"]),
                commit=_commit(runs[after.start]),
                commit_before=_commit(runs[after.start - 1]),
                before=before.value,
                after=after.value,
                also=_also(runs[after.start - 1], runs[after.start]),
            )
            for before, after in pairwise(levels)
        ),
        unknown=unknown,
    )


def _point(run: dict[str, Cell], value: float) -> TrendPoint:
    started = run["started"]
    assert isinstance(started, datetime)  # a row has it, or is none
    return TrendPoint(str(run["id"]), started, value, _commit(run), str(run["folder"] or ""))


def _commit(run: dict[str, Cell]) -> str:
    return f"{run['commit']}{'+' if run['dirty'] else ''}" if run["commit"] else ""


def _also(before: dict[str, Cell], after: dict[str, Cell]) -> tuple[str, ...]:
    return tuple(
        f"{name.replace('_', ' ')} {_shown(before[name])} -> {_shown(after[name])}"
        for name in _CIRCUMSTANCES
        if before[name] != after[name]
    )


def _shown(value: Cell) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value or "–")
    return text if len(text) <= 60 else f"{text[:59]}…"


def sentence(trend: MetricTrend, change: ChangePoint) -> str:
    """``12.1 ms -> 30.2 ms (+150 %) with 20261130-…-first-7f3a, commit abc (before: def)``."""
    share = f" ({change.change * 100:+.0f} %)" if change.change is not None else ""
    before, after = (quantity(value, trend.unit) for value in (change.before, change.after))
    commits = ""
    if change.commit and change.commit == change.commit_before:
        commits = f", at the same commit {change.commit}"
    elif change.commit:
        commits = f", commit {change.commit}"
        commits += f" (before: {change.commit_before})" if change.commit_before else ""
    also = f"; also changed: {'; '.join(change.also)}" if change.also else ""
    return f"{before} -> {after}{share} with run {change.run}{commits}{also}"
