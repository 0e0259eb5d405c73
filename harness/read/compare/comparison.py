"""Two runs side by side: which figures changed, and which places block more or less than before.

One run of each shows how much a figure varies within a run, from step to step of its timeline, but not how
much it varies from run to run. A figure counts as different if the means over the steps differ by more than
twice the standard error of their difference; a final verdict needs repeated runs. The mean is used because a
median over the steps hides what affects only a few of them.

Programs that ended by themselves are also compared by their totals: a slower one runs longer, and may be no
busier.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean, variance
from typing import TYPE_CHECKING

from ..judge.outcome import OutcomeName
from .block_diff import BlockChange, block_changes
from .profile_diff import ProfileDiff

if TYPE_CHECKING:
    from ..report import Report

# Minimum number of steps for a standard error.
LEAST_STEPS = 8


class ChangeVerdict(StrEnum):
    """Whether a figure changed by more than noise."""

    BETTER = "better"
    WORSE = "worse"
    NOISE = "noise"
    UNKNOWN = ""  # a plain count, or too few steps to tell

    @property
    def moved(self) -> bool:
        """Whether it is a change beyond the noise."""
        return self in (ChangeVerdict.BETTER, ChangeVerdict.WORSE)


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of both runs; null where a run has none."""

    name: str
    unit: str  # "ms", "share", "per second", or what is counted
    base: float | None
    head: float | None
    band: float | None  # the largest difference that noise within the runs explains; null for a plain count
    verdict: ChangeVerdict


@dataclass(frozen=True, slots=True)
class BaseFigures:
    """The figures of the other run that stand at the top of a report; null where it has none."""

    blocks: int | None
    held_ms: float | None
    longest_ms: float | None
    lag_p99_ms: float | None
    busy_ratio: float | None
    latency_p99_ms: float | None
    completed: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The base is the other run, the head the one that is reported."""

    base_id: str
    base_verdict: str
    base_outcome: OutcomeName
    base: BaseFigures
    not_same: tuple[str, ...]  # what else differs, such as the command; it may explain all of the rest
    totals: bool  # both programs ended by themselves
    changes: tuple[Change, ...]
    places: tuple[BlockChange, ...]  # largest change first
    contrast: ProfileDiff | None = field(repr=False)  # of the samples; null if they cannot be compared ...
    no_contrast: str  # ... and why


def comparison(
    base: Report, head: Report, samples: ProfileDiff | str, not_same: Iterable[str] = ()
) -> Comparison:
    """What changed from *base* to *head*.

    Args:
        base: The other run.
        head: The run that is reported.
        samples: The result of `profile_diff` on their records.
        not_same: The result of `sameness.not_same` on their manifests.
    """
    return Comparison(
        base_id=base.run.id,
        base_verdict=base.run.verdict,
        base_outcome=base.run.outcome,
        base=_base_figures(base),
        not_same=tuple(not_same),
        totals=(totals := _both_ended(base, head)),
        changes=(*_totals(base, head), *_changes(base, head), *_counts(base, head)),
        places=block_changes(base.blocks, head.blocks, *(1, 1) if totals else _ran_s(base, head)),
        contrast=samples if isinstance(samples, ProfileDiff) else None,
        no_contrast=samples if isinstance(samples, str) else "",
    )


def _base_figures(base: Report) -> BaseFigures:
    load = base.load
    return BaseFigures(
        blocks=base.block_totals.count,
        held_ms=base.block_totals.total_ms,
        longest_ms=base.loop.lag_ms.max,
        lag_p99_ms=base.loop.lag_ms.p99,
        busy_ratio=base.loop.busy_ratio,
        latency_p99_ms=load.latency_ms.p99 if load is not None else None,
        completed=load.completed if load is not None else None,
    )


def _both_ended(base: Report, head: Report) -> bool:
    return base.run.target.ended_by_itself and head.run.target.ended_by_itself


def _ran_s(base: Report, head: Report) -> tuple[float, float]:
    return base.loop.ran_s or 0.0, head.loop.ran_s or 0.0


def _totals(base: Report, head: Report) -> Iterator[Change]:
    if _both_ended(base, head):
        yield _count("duration", "ms", base.run.duration_s * 1000, head.run.duration_s * 1000)
        yield _count("time on the loop", "ms", _busy_ms(base), _busy_ms(head))


def _busy_ms(document: Report) -> float | None:
    busy_ratio, ran_s = document.loop.busy_ratio, document.loop.ran_s
    return None if busy_ratio is None or ran_s is None else round(busy_ratio * ran_s * 1000, 3)


def _changes(base: Report, head: Report) -> Iterator[Change]:
    before, after = base.timeline, head.timeline
    if base.load is not None and head.load is not None:
        yield _change("latency, median of a step", "ms", before.p50_ms, after.p50_ms)
        yield _change("latency, slowest of a step", "ms", before.max_ms, after.max_ms)
        yield _change("completed", "per second", _rates(base), _rates(head), more_is_better=True)
    yield _change("loop busy", "share", before.busy_ratio, after.busy_ratio)


def _rates(document: Report) -> list[float | None]:
    """Answers per second in each step from the first request to the last."""
    line = document.timeline
    loaded = [index for index, sent in enumerate(line.sent or ()) if sent]
    if line.completed is None or not loaded:
        return []
    return [count / line.step_s for count in line.completed[loaded[0] : loaded[-1] + 1]]


def _change(
    name: str,
    unit: str,
    base: Iterable[float | None],
    head: Iterable[float | None],
    *,
    more_is_better: bool = False,
) -> Change:
    before, after = [v for v in base if v is not None], [v for v in head if v is not None]
    low, high = _mean(before), _mean(after)
    if low is None or high is None or min(len(before), len(after)) < LEAST_STEPS:
        return Change(name, unit, low, high, None, ChangeVerdict.UNKNOWN)
    # Neighbouring steps are correlated, so this is an underestimate.
    band = 2 * math.sqrt(variance(before) / len(before) + variance(after) / len(after))
    verdict = ChangeVerdict.BETTER if (high > low) is more_is_better else ChangeVerdict.WORSE
    if abs(high - low) <= band:
        verdict = ChangeVerdict.NOISE
    return Change(name, unit, low, high, round(band, 4), verdict)


def _mean(values: list[float]) -> float | None:
    return round(fmean(values), 4) if values else None


def _counts(base: Report, head: Report) -> Iterator[Change]:
    yield _count("blocks", "blocks", base.block_totals.count, head.block_totals.count)
    yield _count("held by blocks", "ms", base.block_totals.total_ms, head.block_totals.total_ms)
    if base.load is not None and head.load is not None:
        # Of all requests together, because a few slow steps hardly change the mean over the steps.
        yield _count("latency, p99 of all", "ms", base.load.latency_ms.p99, head.load.latency_ms.p99)
    yield _count("longest turn", "ms", base.loop.lag_ms.max, head.loop.lag_ms.max)
    if base.load is not None and head.load is not None:
        yield _count("failed", "requests", base.load.failed, head.load.failed)
    if base.ledger is not None and head.ledger is not None:
        yield _count("lost", "messages", base.ledger.lost, head.ledger.lost)


def _count(name: str, unit: str, base: float | None, head: float | None) -> Change:
    return Change(name, unit, base, head, None, ChangeVerdict.UNKNOWN)
