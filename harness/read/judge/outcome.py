"""How a run ended: one word, the reason, and the exit status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ...record.event import RunEnded, describe_status
from ..figures.target import crash, failed
from ..finding import Finding, Level
from ..history import History
from .expectation import ExpectationResult

INTERRUPTED = "it was interrupted"
_INTERRUPTED_STATUS = 130


class OutcomeName(StrEnum):
    """How a run ended, in one word of the contract."""

    PASSED = "passed"
    FAILED = "failed"
    INVALID = "invalid"
    ABORTED = "aborted"
    CRASHED = "crashed"
    OBSERVED = "observed"  # nothing was expected, so nothing could pass


_STATUS = {
    OutcomeName.PASSED: 0,
    OutcomeName.OBSERVED: 0,
    OutcomeName.FAILED: 1,
    OutcomeName.INVALID: 3,
    OutcomeName.ABORTED: 3,
    OutcomeName.CRASHED: 4,
}


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended, and the reason in a few words; "" for passed, failed and observed."""

    name: OutcomeName
    reason: str = ""

    @property
    def exit_status(self) -> int:
        """The exit status of a command that reports this run."""
        return _INTERRUPTED_STATUS if self.reason == INTERRUPTED else _STATUS[self.name]


def outcome(
    history: History, findings: Iterable[Finding], expectations: Iterable[ExpectationResult]
) -> RunOutcome:
    """The worst outcome that applies: crashed target, aborted run, invalid measurement, failed expectation.

    An expectation about a figure that was not measured makes the measurement invalid. So does a finding that
    is invalid: an error always, anything else where a condition is judged.
    """
    ended = history.last(RunEnded)
    if (crashed := crash(history)) is not None:
        return RunOutcome(OutcomeName.CRASHED, describe_status(crashed.status))
    if ended is None:
        return RunOutcome(OutcomeName.ABORTED, "the runner was killed or is still running")
    if ended.interrupted:
        return RunOutcome(OutcomeName.ABORTED, INTERRUPTED)
    if failed(history):
        return RunOutcome(OutcomeName.CRASHED, ended.error)
    return judgement(findings, expectations)


def judgement(findings: Iterable[Finding], expectations: Iterable[ExpectationResult]) -> RunOutcome:
    """The outcome by the measurement and its conditions alone, however the target ended."""
    judged = tuple(expectations)
    invalid = [
        finding for finding in findings if finding.invalid and (judged or finding.level == Level.ERROR)
    ]
    # A damaged record is the reason why other things are missing, too.
    broken = min(invalid, key=lambda found: found.level != Level.ERROR, default=None)
    if broken is not None:
        return RunOutcome(OutcomeName.INVALID, broken.message)
    unmeasured = next((expectation for expectation in judged if expectation.value is None), None)
    if unmeasured is not None:
        return RunOutcome(OutcomeName.INVALID, unmeasured.sentence)
    if not judged:
        return RunOutcome(OutcomeName.OBSERVED)
    met = all(expectation.passed for expectation in judged)
    return RunOutcome(OutcomeName.PASSED if met else OutcomeName.FAILED)
