"""Whether every fault was injected, took effect, and was rolled back.

A run whose faults did not happen has not measured what its scenario says, so it cannot be judged. A fault
that somebody injected by hand, from a console, breaks no measurement.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..evidence import Evidence
from ..figures.fault import FaultFigures
from ..finding import Finding, Level
from ..units import plural

ORDER = 60


def findings(evidence: Evidence) -> Iterator[Finding]:
    """An error for a fault that failed or did nothing, a warning for one that stayed active."""
    known = {fault.id for fault in evidence.faults}
    planned = evidence.history.run.settings.get("faults")
    for each in planned if isinstance(planned, list) else ():
        if isinstance(each, dict) and (name := str(each.get("id", ""))) not in known:
            message = f"fault {name} was not injected: the run was over before that"
            yield Finding("faults", Level.ERROR, message, invalid=True)
    for fault in evidence.faults:
        if fault.error and not fault.injected:
            message = f"fault {fault.id} was not injected: {fault.error}"
            yield Finding("faults", Level.ERROR, message, invalid=True)
        elif fault.error:
            yield Finding("faults", Level.ERROR, f"fault {fault.id} failed: {fault.error}", invalid=True)
        elif not fault.undone:
            message = f"fault {fault.id} was not rolled back before the record ended"
            yield Finding("faults", Level.WARNING, message)
        elif not fault.fired:
            level = Level.WARNING if fault.by_hand else Level.ERROR
            message = f"fault {fault.id} never took effect{_why(fault)}"
            yield Finding("faults", level, message, invalid=not fault.by_hand)


def _why(fault: FaultFigures) -> str:
    place, lasted = fault.place or "its function", f"in the {fault.for_s or 0:.1f} s in which it was in force"
    if fault.processes == 0:
        module = place.partition(":")[0]
        return f": no process of the target had {module} loaded {lasted}"
    if fault.calls == 0:
        return f": {place} was not called {lasted}"
    if fault.calls is not None and fault.probability < 1:
        expected = fault.calls * fault.probability
        share = f"{fault.probability * 100:.3g} %"
        return (
            f": of {plural(fault.calls, 'call')} of {place} {lasted}, {share} are {expected:.1f} on average; "
            "a higher probability or a longer load would hit some"
        )
    return ""
