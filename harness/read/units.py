"""The record's nanoseconds in the units of a report, and figures as text."""

from __future__ import annotations

from collections.abc import Iterable


def ms(time_ns: float) -> float:
    """Milliseconds, rounded to the microsecond: further digits would be noise."""
    return round(time_ns / 1e6, 3)


def in_ms(times_ns: Iterable[float | None]) -> tuple[float | None, ...]:
    """Each time in milliseconds; `None` stays."""
    return tuple(None if time_ns is None else ms(time_ns) for time_ns in times_ns)


def seconds(time_ns: float) -> float:
    """Seconds, rounded to the microsecond."""
    return round(time_ns / 1e9, 6)


def duration(value_ms: float | None) -> str:
    """A duration with about three digits: ``42 µs``, ``0.42 ms``, ``301 ms``, ``1.50 s``."""
    if value_ms is None:
        return "–"
    if value_ms >= 999.5:
        return f"{value_ms / 1000:.2f} s" if value_ms < 9995 else f"{value_ms / 1000:.1f} s"
    if 0 < value_ms < 0.0995:
        return f"{value_ms * 1000:.2g} µs"
    digits = 0 if value_ms >= 99.95 else 1 if value_ms >= 0.995 else 2
    return f"{round(value_ms, digits):g} ms"


def percent(share: float | None) -> str:
    """A share as a whole percentage; below 10 % with one decimal."""
    if share is None:
        return "–"
    return f"{share * 100:.0f} %" if share >= 0.0995 or share == 0 else f"{share * 100:.1f} %"


def plural(count: int | None, noun: str) -> str:
    """``1 block``, ``1,000 blocks``; ``– blocks`` if their number is not known."""
    if count is None:
        return f"– {noun}s"
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def printable(text: str) -> str:
    """*text* from the target, with the control characters escaped that a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def measured(value: float | None, unit: str) -> str:
    """A figure with its unit: ``301 ms``, ``34 %``, ``×1.02``, ``3 tasks``."""
    match unit:
        case _ if value is None:
            return "–"
        case "ms":
            return duration(value)
        case "share":
            return percent(value)
        case "ratio":
            return f"×{value:.3g}"
        case "per second":
            return f"{value:.1f}/s"
    return plural(int(value), unit.removesuffix("s"))


def quantity(value: float, unit: str, *, beside: float | None = None) -> str:
    """A figure in a unit of `record/metric.py`: ``332 ms``, ``3,007,835``, ``0.31``.

    It has more digits where it would otherwise read like *beside*, a value that it differs from.
    """
    text = _rounded(value, unit)
    if beside is not None and beside != value and text == _rounded(beside, unit):
        name = {"s": " s", "ms": " ms", "Hz": " Hz"}.get(unit, "")
        return f"{value:,.10g}{name}"
    return text


def _rounded(value: float, unit: str) -> str:
    match unit:
        case "ms" if value >= 0:
            return duration(value)
        case "s" if value >= 0:
            return duration(value * 1000)
        case "ms" | "s" | "Hz":
            return f"{value:,.4g} {unit}"
        case "ratio":
            return f"{value:.4g}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
