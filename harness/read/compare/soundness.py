"""Whether the runs of two sides can be compared at all: by how they ended."""

from __future__ import annotations

from collections.abc import Sequence

from ..judge.outcome import OutcomeName
from ..units import plural
from .records import RecordedRun

# Each with the words for it, the gravest first. A failed expectation says nothing against the figures.
_UNSOUND = {
    OutcomeName.CRASHED: "crashed",
    OutcomeName.INVALID: "is invalid",
    OutcomeName.ABORTED: "was cut off",
}


def unsound(base: Sequence[RecordedRun], head: Sequence[RecordedRun]) -> str:
    """Which run cannot be judged, and why; "" if all can.

    A run of the head comes first if it ended worse than any of the base: that may be the change itself.
    """
    sides = {"base": _worst(base), "head": _worst(head)}
    ranks = {name: _rank(run) for name, run in sides.items()}
    name = "head" if ranks["head"] < ranks["base"] else "base"
    worst = sides[name]
    if worst is None:
        return ""
    others = sum(run.outcome.name in _UNSOUND for run in (*base, *head)) - 1
    more = f"; and {plural(others, 'more run')} cannot be judged" if others else ""
    ended = f"the run {worst.evidence.history.run.id} of the {name} {_UNSOUND[worst.outcome.name]}"
    unlike = ", unlike the base" if name == "head" and sides["base"] is None else ""
    return f"{ended}{unlike} ({worst.outcome.reason}){more}"


def _worst(runs: Sequence[RecordedRun]) -> RecordedRun | None:
    return min((run for run in runs if run.outcome.name in _UNSOUND), key=_rank, default=None)


def _rank(run: RecordedRun | None) -> int:
    return list(_UNSOUND).index(run.outcome.name) if run is not None else len(_UNSOUND)
