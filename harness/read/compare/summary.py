"""The comparison with another run in a few lines of text, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..units import duration, measured, plural, printable
from .block_diff import BlockChange, Trend
from .comparison import Change, ChangeVerdict, Comparison
from .profile_diff import FunctionChange, PerUnit, Weight

NOTE = "Bands come from within each run. Run-to-run variation needs repeated runs."
PLACES = 6
SHIFTS = 5


class ChangeLine(NamedTuple):
    """One line about a change, or about what did not change."""

    sign: str
    text: str
    verdict: ChangeVerdict = ChangeVerdict.UNKNOWN


def lines(between: Comparison, code: Callable[[str], str]) -> Iterator[ChangeLine]:
    """What got better or worse, the places that block, and the functions that became heavier or lighter.

    Args:
        between: The other run and this one.
        code: Formats a name from the program.
    """
    changes = between.changes
    if between.not_same:
        yield ChangeLine("!", f"not the same: {'; '.join(map(printable, between.not_same))}")
    yield from (_figure(change) for change in changes if change.verdict.moved)
    if still := [change.name for change in changes if change.verdict == ChangeVerdict.NOISE]:
        yield ChangeLine("≈", f"within the noise: {'; '.join(still)}")
    plain = [change for change in changes if change.verdict == ChangeVerdict.UNKNOWN and change.unit == "ms"]
    if counts := "; ".join(f"{change.name} {_figures(change)}" for change in plain):
        yield ChangeLine(" ", f"no noise estimate: {counts}")
    yield from (_place(place, code) for place in between.places[:PLACES])
    if (more := len(between.places) - PLACES) > 0:
        yield ChangeLine(" ", f"and {plural(more, 'more place')} that block, with smaller changes")
    if between.contrast is None:
        yield ChangeLine(" ", f"samples cannot be compared: {between.no_contrast}")
        return
    shifts = [shift for shift in between.contrast.shifts if shift.verdict != Weight.NOISE]
    yield from (_shift(shift, between.contrast.per, code) for shift in shifts[:SHIFTS])
    if (more := len(shifts) - SHIFTS) > 0:
        yield ChangeLine(" ", f"and {plural(more, 'more function')} with smaller changes")
    if not shifts:
        text = "no function of the program became heavier or lighter beyond the noise of the samples"
        yield ChangeLine("≈", text)


def _figure(change: Change) -> ChangeLine:
    sign = "▼" if (change.head or 0) < (change.base or 0) else "▲"
    text = f"{change.name}: {_figures(change)} ± {measured(change.band, change.unit)}, {change.verdict}"
    return ChangeLine(sign, text, change.verdict)


def _figures(change: Change) -> str:
    return f"{measured(change.base, change.unit)} → {measured(change.head, change.unit)}"


def _place(place: BlockChange, code: Callable[[str], str]) -> ChangeLine:
    before, after = _times(place.base_count, place.base_ms), _times(place.head_count, place.head_ms)
    text = f"blocks in {code(place.function)} {code(place.where)}: {before} → {after}"
    if place.change == Trend.SAME:
        return ChangeLine("≈", f"{text}, within the noise")
    sign = "▼" if place.change.improved else "▲"
    if place.by_chance:
        return ChangeLine(sign, f"{text}, {place.change}, but may be chance")
    verdict = ChangeVerdict.BETTER if place.change.improved else ChangeVerdict.WORSE
    return ChangeLine(sign, f"{text}, {place.change}", verdict)


def _times(count: int, took_ms: float) -> str:
    return f"{count:,} × in {duration(took_ms)}" if count else "none"


def _shift(shift: FunctionChange, per: PerUnit, code: Callable[[str], str]) -> ChangeLine:
    heavier = shift.verdict == Weight.HEAVIER
    figures = f"{duration(shift.base_ms)} → {duration(shift.head_ms)} per {per} ± {duration(shift.band_ms)}"
    text = f"{code(shift.function)} {code(shift.where)}: {figures}, {shift.verdict}"
    return ChangeLine("▲" if heavier else "▼", text, ChangeVerdict.WORSE if heavier else ChangeVerdict.BETTER)
