"""A duration as users type it: ``30s``, ``2m``, ``500ms``, or a plain number of seconds."""

from __future__ import annotations

import math
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0}


def seconds(text: str) -> float:
    """The duration in seconds.

    Raises:
        ArgumentTypeError: *text* is not a duration above zero.
    """
    number = text.rstrip("ms")
    try:
        length_s = float(number) * _UNITS[text[len(number) :] or "s"]
    except (ValueError, KeyError):
        length_s = math.nan
    if not (math.isfinite(length_s) and length_s > 0):
        raise ArgumentTypeError(f"expected a duration such as 30s, 2m or 500ms, got {text!r}")
    return length_s


def up_to(limit_s: float) -> Callable[[str], float]:
    """An argument type: a duration of at most *limit_s*."""

    def limited(text: str) -> float:
        length_s = seconds(text)
        if length_s > limit_s:
            raise ArgumentTypeError(f"{limit_s:.10g} s at most, got {text!r}")
        return length_s

    return limited


def add_for(parser: ArgumentParser, default_s: float | None, limit_s: float, what: str) -> None:
    """Add ``--for TIME``, which is ``for_s`` among the options; *what* is its help."""
    default = "" if default_s is None else f" [{default_s:g}s]"
    parser.add_argument(
        "--for", dest="for_s", type=up_to(limit_s), default=default_s, metavar="TIME", help=what + default
    )
