"""Where a series of figures changed for good, by ruptures.

The figures are replaced by their ranks, whose spread is known whatever the figures are like, and PELT finds
the cuts whose gain exceeds a penalty. So one penalty holds for every figure. Of series of 20, 60 and 200
independent values without a change (normal, log-normal, with heavy tails, with spikes), one in a hundred was
said to have changed; of the shortest, three. Apache Otava, the other candidate, said so of up to 40 in a
hundred, and missed most steps among spikes; it also needs some forty packages, clients of BigQuery and Slack
among them. Where neighbours are alike, because the machine drifts, one series in four has a change point by
this, and up to three by the other: the levels are there, though no commit made them.

Source: Killick, Fearnhead, Eckley, "Optimal Detection of Changepoints With a Linear Computational Cost",
Journal of the American Statistical Association, 2012.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

# A level of fewer runs is taken for an outlier.
LEAST_RUNS = 4
# With fewer runs, even two levels apart cannot exceed the penalty.
LEAST_SERIES = 10
# Of the logarithm of the length, in units of the ranks' variance: see above.
_PENALTY = 3.0


class ChangesUnknownError(Exception):
    """It cannot be told whether a series has changed; the message says why."""


def change_points(values: Sequence[float]) -> list[int]:
    """The places of the first values after a change, in order.

    Raises:
        ChangesUnknownError: The series is too short, or ruptures is not installed.
    """
    count = len(values)
    if count < LEAST_SERIES:
        raise ChangesUnknownError(f"change points need {LEAST_SERIES} runs, there are {count}")
    if len(set(values)) == 1:
        return []
    try:
        import numpy as np
        import ruptures
    except ImportError:
        raise ChangesUnknownError(
            "change points need ruptures, which the extra `history` installs until Python 3.13"
        ) from None
    ranks = np.array(_ranks(values), dtype=float).reshape(-1, 1)
    found = ruptures.KernelCPD(kernel="linear", min_size=LEAST_RUNS).fit(ranks)
    return [int(end) for end in found.predict(pen=_PENALTY * math.log(count) * count**2 / 12)[:-1]]


def _ranks(values: Sequence[float]) -> list[float]:
    """The rank of each value, 1 for the least; equal ones share the mean of theirs."""
    places: dict[float, list[int]] = {}
    for rank, value in enumerate(sorted(values), 1):
        places.setdefault(value, []).append(rank)
    return [sum(places[value]) / len(places[value]) for value in values]
