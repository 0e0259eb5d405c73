"""The comparison with another run in one sentence, for the top of a report."""

from __future__ import annotations

from collections.abc import Iterator

from ..units import duration, measured
from .block_diff import BlockChange, Trend
from .comparison import Change, ChangeVerdict, Comparison
from .profile_diff import FunctionChange, PerUnit, Weight

# How many changes of each kind are told.
TOLD = 3
# Durations that differ by less than this share are not told: nothing says how much runs vary.
LEAST_APART = 0.1


def headline(between: Comparison) -> str:
    """``Against RUN: took 8.45 s, not 4.31 s (×2). Worse: render 1.71 s → 3.96 s per run.``"""
    worse = [*_places(between, improved=False), *_figures(between, ChangeVerdict.WORSE)]
    better = [*_places(between, improved=True), *_figures(between, ChangeVerdict.BETTER)]
    shifts = between.contrast.shifts if between.contrast is not None else ()
    per = between.contrast.per if between.contrast is not None else PerUnit.SECOND
    worse += [_shift(shift, per) for shift in shifts if shift.verdict == Weight.HEAVIER]
    better += [_shift(shift, per) for shift in shifts if shift.verdict == Weight.LIGHTER]
    parts = [*_took(between), *_listed("worse", worse), *_listed("better", better)]
    first, *others = parts or ["no difference beyond the noise within the runs"]
    said = ". ".join((first, *(part[0].upper() + part[1:] for part in others)))
    return f"Against {between.base_id}: {said}."


def _took(between: Comparison) -> Iterator[str]:
    for change in between.changes if between.totals else ():
        before, after = change.base, change.head
        if change.name != "duration" or not before or after is None:
            continue
        if abs(after - before) > LEAST_APART * before:
            yield f"took {duration(after)}, not {duration(before)} (×{after / before:.2g})"


def _figures(between: Comparison, verdict: ChangeVerdict) -> Iterator[str]:
    for change in between.changes:
        if change.verdict == verdict:
            yield f"{change.name} {_both(change)}"


def _both(change: Change) -> str:
    return f"{measured(change.base, change.unit)} → {measured(change.head, change.unit)}"


def _places(between: Comparison, *, improved: bool) -> Iterator[str]:
    for place in between.places:
        if place.change != Trend.SAME and place.change.improved == improved:
            yield _place(place)


def _place(place: BlockChange) -> str:
    where = f"{place.function} ({place.where})" if place.where else place.function
    said = {
        Trend.NEW: f"new block in {where}",
        Trend.GONE: f"no more block in {where}",
        Trend.MORE: f"more blocks in {where}",
        Trend.FEWER: f"fewer blocks in {where}",
        Trend.LONGER: f"longer blocks in {where}",
        Trend.SHORTER: f"shorter blocks in {where}",
    }[place.change]
    return f"{said}, which may be chance" if place.by_chance else said


def _shift(shift: FunctionChange, per: PerUnit) -> str:
    return f"{shift.function} {duration(shift.base_ms)} → {duration(shift.head_ms)} per {per}"


def _listed(word: str, changes: list[str]) -> Iterator[str]:
    if changes:
        more = f"; and {len(changes) - TOLD} more" if len(changes) > TOLD else ""
        yield f"{word}: {'; '.join(changes[:TOLD])}{more}"
