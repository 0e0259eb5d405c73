"""Whether the target ran until it was asked to end."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from ...record.event import TargetExited, TargetStopping, describe_status
from ..evidence import Evidence
from ..figures.target import crash, hung
from ..finding import Finding, Level
from ..units import duration, ms

ORDER = 20


def findings(evidence: Evidence) -> Iterator[Finding]:
    """An error for a target that died on its own, a warning for one that had to be killed."""
    history = evidence.history
    # What `--hang-exit` did is told by another rule.
    if (crashed := crash(history)) is not None and hung(history) is None:
        message = f"the target died on its own, {describe_status(crashed.status)}"
        if crashed.last_lines:
            message += f'; its last line: "{crashed.last_lines[-1]}"; its output is in {crashed.log}'
        elif crashed.log:
            message += f"; it printed nothing to {crashed.log}"
        else:
            message += "; what it printed was passed on, and not kept"
        yield Finding("target", Level.ERROR, message)
    exited, asked = history.last(TargetExited), history.last(TargetStopping)
    if exited is not None and asked is not None and exited.status == -signal.SIGKILL:
        ran_on = duration(ms(exited.at_ns - asked.at_ns))
        message = (
            f"the target was asked to end by {asked.signal}, ran for another {ran_on}, and ended by SIGKILL"
        )
        yield Finding("target", Level.WARNING, message)
