"""Percentiles by nearest rank: each is one of the values, so it is exact for any number of them."""

from __future__ import annotations

import math
from collections.abc import Iterable


def percentiles(values: Iterable[float], shares: tuple[float, ...]) -> tuple[float | None, ...]:
    """For each share, the smallest value that this share of *values* does not exceed; `None` without values.

    Source: the nearest-rank method, rank ``ceil(share * n)``; share 0 is the smallest value, 1 the largest.
    """
    ordered = sorted(values)
    if not ordered:
        return (None,) * len(shares)
    # Rounded first: 0.07 * 100 is 7.000000000000001, and its rank is 7.
    ranks = (math.ceil(round(share * len(ordered), 9)) for share in shares)
    return tuple(ordered[max(rank, 1) - 1] for rank in ranks)
