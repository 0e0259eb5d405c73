"""Which synchronous calls of a program need no warning: those that are allowed, and those in the baseline.

The allowlist of a run is in its manifest, so that a record always gives the same report. An old record can be
judged by another allowlist.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase

from ...record.event import CallsCounted
from ...record.run import Run

# In the settings of a run that counts calls: the allowlist in force when it began.
SETTING = "calls"


@dataclass(frozen=True, slots=True)
class AllowedCall:
    """Calls that are allowed. The patterns are case-sensitive globs (``*``, ``?``, ``[ab]``)."""

    call: str
    reason: str
    function: str = "*"
    caller: str = "*"
    argument: str = "*"

    def covers(self, made: CallsCounted) -> bool:
        """Whether these calls are allowed."""
        names = ("call", "function", "caller", "argument")
        return all(fnmatchcase(getattr(made, name), getattr(self, name)) for name in names)


@dataclass(frozen=True, slots=True)
class Allowlist:
    """The calls of a program that need no warning."""

    allow: tuple[AllowedCall, ...] = ()
    known: frozenset[tuple[str, str]] = frozenset()  # call and function, from the baseline

    def settings(self) -> dict[str, object]:
        """The allowlist as a manifest stores it."""
        return {"allow": [asdict(allowance) for allowance in self.allow], "known": sorted(self.known)}

    @classmethod
    def of_run(cls, run: Run) -> Allowlist:
        """The allowlist in the manifest of *run*; empty for a run that counts no calls."""
        settings = run.settings.get(SETTING)
        if not isinstance(settings, dict):
            return cls()
        return cls(
            allow=tuple(AllowedCall(**allowance) for allowance in settings["allow"]),
            known=frozenset((call, function) for call, function in settings["known"]),
        )
