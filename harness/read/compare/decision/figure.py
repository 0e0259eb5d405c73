"""The figures of one measure as text."""

from __future__ import annotations

from ...units import percent, quantity
from ..paired.answer import Judged
from ..paired.measure import MeasureGate


def value(judged: Judged, number: float | None) -> str:
    """A value of one side, with its unit."""
    if number is None:
        return "–"
    if judged.unit == "MB":
        return f"{number:,.1f} MB"
    if judged.unit == "us":
        return quantity(number / 1e3, "ms")
    return quantity(number, judged.unit)


def values(judged: Judged) -> str:
    """Both sides: ``52.1 ms → 55.3 ms``."""
    return f"{value(judged, judged.base)} → {value(judged, judged.head)}"


def change(judged: Judged) -> str:
    """How much worse the head is: ``+6.1 %``."""
    return signed(judged.change)


def signed(share: float | None) -> str:
    """A share with its sign; from a factor of two on, the factor."""
    if share is None:
        return "–"
    if share >= 1:
        return f"×{1 + share:.3g}"
    return f"{share * 100:+.1f} %"


def interval(judged: Judged) -> str:
    """What the change lies between, with 95 %."""
    if judged.low is None:
        return ""
    low, high = signed(judged.low), signed(judged.high)
    # The unit once, where both have it.
    return f"{low.removesuffix(' %') if high.endswith(' %') else low} to {high}"


def visible(judged: Judged) -> str:
    """The smallest change that could be seen."""
    return percent(judged.visible) if judged.visible else "every change"


def verdict(judged: Judged) -> str:
    """What is said of it in one word; in brackets where it does not decide."""
    match judged.gate:
        case MeasureGate.SHOWN:
            return f"({judged.answer})"
        case MeasureGate.ACCEPTED:
            return str(judged.gate)
    return str(judged.answer)


def difference(judged: Judged) -> str:
    """``cpu_ms 52.1 ms → 55.3 ms, +6.1 % (+4.9 to +7.3 %), confirmed by 8 fresh pairs``."""
    text = f"{judged.name} {values(judged)}, {change(judged)} ({interval(judged)})"
    return f"{text}, confirmed by {judged.fresh} fresh pairs" if judged.fresh else text
