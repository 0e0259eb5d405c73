"""What the probe could not do in the program, nor the runner beside it: what failed or was left out."""

from __future__ import annotations

from collections.abc import Iterator

from ...record.event import ObserverFailed, PartLeftOut, ProbeClosed, ProbeFailed
from ..evidence import Evidence
from ..finding import Finding, Level
from ..units import plural

ORDER = 12
# Without these, blocks are not found, and that there are none means nothing.
NEEDED = ("entry", "imports", "loops", "turns", "blocks")


def findings(evidence: Evidence) -> Iterator[Finding]:
    """One for each part and reason, with the number of processes."""
    history = evidence.history
    processes: dict[tuple[str, str], set[int]] = {}
    for failed in history.of(ProbeFailed):
        message = f"the probe failed in {failed.where}, and that part may be missing: {failed.error}"
        if failed.where == "profile" and failed.error.startswith("ModuleNotFoundError: "):
            message = "pyinstrument is not installed in the program's environment; no profile was taken"
        processes.setdefault((failed.where, message), set()).add(failed.pid)
    for out in history.of(PartLeftOut):
        message = f"a part of the probe was left out, {out.part}: {out.reason}"
        processes.setdefault((out.part, message), set()).add(out.pid)
    for (part, message), pids in processes.items():
        where = f", in {len(pids)} processes" if len(pids) > 1 else ""
        is_needed = part in NEEDED
        level = Level.ERROR if is_needed else Level.WARNING
        yield Finding("probe", level, message + where, invalid=is_needed)
    for ended in history.of(ObserverFailed):
        message = f"the {ended.observer} of the runner failed, and what it sees is missing: {ended.error}"
        yield Finding("probe", Level.ERROR, message, invalid=True)
    more = sum(closed.failures for closed in history.of(ProbeClosed)) - len(history.of(ProbeFailed))
    if more > 0:
        yield Finding("probe", Level.NOTE, f"the probe failed {plural(more, 'more time')} in these parts")
