"""Figures that only one side has, and that were accepted beforehand: they are named, and do not decide."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .answer import Judged, Lacking
from .measure import MeasureGate
from .trial import Trial


@dataclass(frozen=True, slots=True)
class Allowed:
    """Names of figures, in which ``*`` stands for any text."""

    new: Sequence[str] = ()  # those that the base may lack
    missing: Sequence[str] = ()  # those that the head may lack

    def applied(self, trial: Trial) -> Trial:
        """The judgement in which what is allowed does not decide. What was compared is not touched."""
        return replace(trial, judged=tuple(map(self._applied, trial.judged)))

    def _applied(self, one: Judged) -> Judged:
        if one.gate != MeasureGate.DECIDES or one.lacking is None:
            return one
        patterns = self.new if one.lacking == Lacking.NEW else self.missing
        is_allowed = any(_matches(pattern, one.name) for pattern in patterns)
        return replace(one, gate=MeasureGate.ACCEPTED) if is_allowed else one


def _matches(pattern: str, name: str) -> bool:
    # Not `fnmatch`, for which the brackets of a parametrised test are a set of letters.
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None
