"""Whether what was named as the program's own code exists in the program."""

from __future__ import annotations

from collections.abc import Iterator

from ..evidence import Evidence
from ..finding import Finding, Level

ORDER = 15


def findings(evidence: Evidence) -> Iterator[Finding]:
    """A warning for each folder, file or package that no process found."""
    missing = [set(loop.started.not_found) for loop in evidence.history.loops]
    for name in sorted(set.intersection(*missing)) if missing else ():
        message = f"--application {name}: the program has no such folder, file or package"
        yield Finding("application", Level.WARNING, message)
