"""How a run ended: one word, why, and the exit status that goes with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...record.event import RunEnded
from ...record.exit_status import describe_status
from ..figures.target import crash, failed
from ..finding import Finding
from ..history import History
from .expectation import ExpectationResult

INTERRUPTED = "it was interrupted"

_STATUS = {"passed": 0, "failed": 1, "invalid": 3, "aborted": 3, "crashed": 4}
_INTERRUPTED_STATUS = 130


@dataclass(frozen=True, slots=True)
class Outcome:
    """One word of the contract, and the reason in a few words, "" for passed and failed."""

    name: str  # "passed", "failed", "invalid", "aborted" or "crashed"
    reason: str = ""

    @property
    def exit_status(self) -> int:
        """What a command ends with that showed this run."""
        return _INTERRUPTED_STATUS if self.reason == INTERRUPTED else _STATUS[self.name]


def outcome(
    history: History, findings: Iterable[Finding], expectations: Iterable[ExpectationResult]
) -> Outcome:
    """The gravest of what applies: a dead target, a broken run, wrong load, a missed expectation."""
    ended = history.last(RunEnded)
    if (crashed := crash(history)) is not None:
        return Outcome("crashed", describe_status(crashed.status))
    if ended is None:
        return Outcome("aborted", "the runner was killed, or is still at work")
    if ended.interrupted:
        return Outcome("aborted", INTERRUPTED)
    if failed(history):
        return Outcome("crashed", ended.error)
    # Errors of the load and of the record are about the measurement; the others are about the target.
    broken = next((f for f in findings if f.level == "error" and f.rule in ("load", "record")), None)
    if broken is not None:
        return Outcome("invalid", broken.message)
    return Outcome("passed" if all(judged.passed for judged in expectations) else "failed")
