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


def plural(count: int, noun: str) -> str:
    """``1 block``, ``1,000 blocks``."""
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
