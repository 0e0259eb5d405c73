"""The range of an option that is a time or a limit."""

from __future__ import annotations

import math
from typing import Any

import click

# The kernel and Python take no longer waits: 2**31 ms, which are 24.8 days.
LONGEST_S = 24 * 86_400


class Amount(click.FloatRange):
    """A number within its range; unlike in click's own, "nan" is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See click.

        Raises:
            click.BadParameter: It is no number, or out of range.
        """
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"expected a number, got {value!r}", param, ctx)
        return number


def seconds(least: float = 0, *, least_open: bool = False) -> Amount:
    """The range of a time in seconds, from *least* on."""
    return Amount(least, LONGEST_S, min_open=least_open)


def milliseconds(least: float = 0) -> Amount:
    """The range of a time in milliseconds, from *least* on."""
    return Amount(least, LONGEST_S * 1000)


def minutes() -> Amount:
    """The range of a time in minutes, above 0."""
    return Amount(0, LONGEST_S // 60, min_open=True)
