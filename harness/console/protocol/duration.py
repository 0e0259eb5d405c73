"""A length of time as people type it: ``30s``, ``2m``, ``500ms``, or a plain number of seconds."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0}


def seconds(text: str) -> float:
    """The seconds of *text*.

    Raises:
        ArgumentTypeError: It is no length of time, or none above zero.
    """
    number = text.rstrip("ms")
    try:
        length_s = float(number) * _UNITS[text[len(number) :] or "s"]
    except (ValueError, KeyError):
        length_s = math.nan
    if not (math.isfinite(length_s) and length_s > 0):
        raise ArgumentTypeError(f"expected a length of time such as 30s, 2m or 500ms, got {text!r}")
    return length_s


def up_to(limit_s: float) -> Callable[[str], float]:
    """An argument's type: a length of time that is no longer than that."""

    def limited(text: str) -> float:
        length_s = seconds(text)
        if length_s > limit_s:
            raise ArgumentTypeError(f"{limit_s:g} s at most, got {text!r}")
        return length_s

    return limited
