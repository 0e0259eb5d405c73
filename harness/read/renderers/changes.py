"""The difference to another run in a few lines of text, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..compare.block_diff import BlockChange
from ..compare.comparison import Change, Comparison
from ..compare.profile_diff import FunctionChange
from ..units import duration, measured, plural

NOTE = "Noise is that within the two runs; how much runs differ by themselves, one of each cannot tell."
PLACES = 6
SHIFTS = 5
BETTER, WORSE, SAME = "better", "worse", "same"


class ChangeLine(NamedTuple):
    """One thing that changed, or of which it is said that it did not."""

    tone: str  # "better", "worse" or "same"
    sign: str
    text: str


def lines(between: Comparison, code: Callable[[str], str]) -> Iterator[ChangeLine]:
    """What got better or worse, the places that block, and the functions that became heavier or lighter.

    Args:
        between: The other run and this one.
        code: How a name from the program is written here.
    """
    yield from (_figure(change) for change in between.changes if change.verdict in (BETTER, WORSE))
    if still := [change.name for change in between.changes if change.verdict == "noise"]:
        yield ChangeLine(SAME, "≈", f"within the noise: {'; '.join(still)}")
    if plain := [
        _plain(change) for change in between.changes if change.verdict == "" and change.unit == "ms"
    ]:
        yield ChangeLine(SAME, " ", f"without a noise to hold them against: {'; '.join(plain)}")
    yield from (_place(place, code) for place in between.places[:PLACES])
    if (more := len(between.places) - PLACES) > 0:
        yield ChangeLine(SAME, " ", f"and {plural(more, 'more place')} that block, which moved less")
    if between.contrast is None:
        yield ChangeLine(SAME, " ", f"what the time went into cannot be compared: {between.no_contrast}")
        return
    shifts = [shift for shift in between.contrast.shifts if shift.verdict != "noise"]
    yield from (_shift(shift, between.contrast.per, code) for shift in shifts[:SHIFTS])
    if (more := len(shifts) - SHIFTS) > 0:
        yield ChangeLine(SAME, " ", f"and {plural(more, 'more function')} that moved less")
    if not shifts:
        yield ChangeLine(
            SAME, "≈", "no function of the program's heavier or lighter beyond the noise of the samples"
        )


def _figure(change: Change) -> ChangeLine:
    figures = f"{measured(change.base, change.unit)} → {measured(change.head, change.unit)}"
    sign = "▼" if (change.head or 0) < (change.base or 0) else "▲"
    return ChangeLine(
        change.verdict,
        sign,
        f"{change.name}: {figures} ± {measured(change.band, change.unit)}, {change.verdict}",
    )


def _plain(change: Change) -> str:
    return f"{change.name} {measured(change.base, change.unit)} → {measured(change.head, change.unit)}"


def _place(place: BlockChange, code: Callable[[str], str]) -> ChangeLine:
    name = f"{code(place.function)} {code(place.where)}"
    before, after = _times(place.base_count, place.base_ms), _times(place.head_count, place.head_ms)
    if place.change == "same":
        return ChangeLine(SAME, "≈", f"blocks in {name}: {before} → {after}, within the noise")
    tone = BETTER if place.change in ("gone", "fewer", "shorter") else WORSE
    sign = "▲" if tone == WORSE else "▼"
    text = f"blocks in {name}: {before} → {after}, {place.change}"
    return (
        ChangeLine(SAME, sign, f"{text}, but so few may be chance")
        if place.by_chance
        else ChangeLine(tone, sign, text)
    )


def _times(count: int, took_ms: float) -> str:
    return f"{count:,} × in {duration(took_ms)}" if count else "none"


def _shift(shift: FunctionChange, per: str, code: Callable[[str], str]) -> ChangeLine:
    sign, tone = ("▲", WORSE) if shift.verdict == "heavier" else ("▼", BETTER)
    figures = f"{duration(shift.base_ms)} → {duration(shift.head_ms)} per {per} ± {duration(shift.band_ms)}"
    return ChangeLine(tone, sign, f"{code(shift.function)} {code(shift.where)}: {figures}, {shift.verdict}")
