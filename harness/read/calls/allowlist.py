"""Which synchronous calls of a program are accepted: those meant to be there, and those known before.

What was accepted when a run began stands in its manifest, so that a record gives the same report for ever.
An old record can be judged by other rules as well.
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
    """Calls that are meant to be there. Patterns are globs (``*``, ``?``, ``[ab]``), case counts."""

    call: str
    reason: str
    function: str = "*"
    caller: str = "*"
    argument: str = "*"

    def covers(self, made: CallsCounted) -> bool:
        """Whether these calls are meant."""
        pairs = (
            (made.call, self.call),
            (made.function, self.function),
            (made.caller, self.caller),
            (made.argument, self.argument),
        )
        return all(fnmatchcase(text, pattern) for text, pattern in pairs)


@dataclass(frozen=True, slots=True)
class Allowlist:
    """What of a program's calls nobody needs to be warned of."""

    allow: tuple[AllowedCall, ...] = ()
    known: frozenset[tuple[str, str]] = frozenset()  # call and function, of which the baseline has told

    def settings(self) -> dict[str, object]:
        """The form that a manifest keeps."""
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
