"""Faults that did not happen: the measurement is invalid, and its first sentence says why."""

from __future__ import annotations

import pytest

from harness.read.finding import Finding
from harness.read.report import Report
from harness.record import event
from tests.read.conftest import Record, Recording

PLACE = "shop.cart:total"


def recorded(
    record: Record,
    *,
    fired: int = 0,
    calls: int | None = None,
    processes: int | None = None,
    probability: float = 1.0,
    by_hand: bool = False,
) -> Report:
    """A run in which one fault was in force for five seconds."""
    made = record()
    made.loop(turns_ms=[1])
    made.write(
        "runner",
        event.FaultInjected(
            made.at(1),
            "slow",
            "block.sleep",
            f"x in {PLACE}",
            place=PLACE,
            probability=probability,
            by_hand=by_hand,
        ),
    )
    made.write("runner", event.FaultUndone(made.at(6), "slow", fired, calls, processes))
    return _ended(made)


def _ended(made: Recording) -> Report:
    made.ended()
    return made.document()


def of_faults(document: Report) -> list[Finding]:
    return [finding for finding in document.findings if finding.rule == "faults"]


@pytest.mark.parametrize(
    ("probability", "calls", "processes", "why"),
    [
        (1.0, 0, 0, ": no process of the target had shop.cart loaded in the 5.0 s in which it was in force"),
        (1.0, 0, 2, ": shop.cart:total was not called in the 5.0 s in which it was in force"),
        (0.5, 0, 2, ": shop.cart:total was not called in the 5.0 s in which it was in force"),
        (
            0.015,
            40,
            1,
            ": of 40 calls of shop.cart:total in the 5.0 s in which it was in force, 1.5 % are 0.6 on average"
            "; a higher probability or a longer load would hit some",
        ),
        (1.0, None, None, ""),
    ],
)
def test_a_fault_that_never_took_effect_makes_the_run_invalid(
    record: Record, probability: float, calls: int | None, processes: int | None, why: str
) -> None:
    """The finding says how often its function was called, as far as that is known."""
    document = recorded(record, calls=calls, processes=processes, probability=probability)

    (found,) = of_faults(document)
    assert (found.level, found.invalid) == ("error", True)
    assert found.message == f"fault slow never took effect{why}"
    assert document.run.outcome == "invalid"
    assert found.message in document.run.verdict


def test_a_fault_that_took_effect_is_no_finding(record: Record) -> None:
    """The negative control."""
    document = recorded(record, fired=1, calls=40, processes=1, probability=0.015)

    assert of_faults(document) == []
    assert document.run.outcome == "observed"
    (fault,) = document.faults
    assert (fault.fired, fault.calls, fault.processes, fault.place) == (1, 40, 1, PLACE)


def test_a_fault_that_somebody_injected_by_hand_breaks_no_measurement(record: Record) -> None:
    """It is told as a warning."""
    document = recorded(record, calls=0, by_hand=True)

    assert [(found.level, found.invalid) for found in of_faults(document)] == [("warning", False)]
    assert document.run.outcome == "observed"


@pytest.mark.parametrize("injected", [True, False])
def test_a_fault_that_failed_makes_the_run_invalid(record: Record, injected: bool) -> None:
    """Whether it was never injected, or could not be undone."""
    made = record()
    made.loop(turns_ms=[1])
    if injected:
        made.write("runner", event.FaultInjected(made.at(1), "slow", "block.sleep", "x"))
        made.write("target", event.FaultFired(made.at(1.5), "slow"))
    made.write("runner", event.FaultFailed(made.at(2), "slow", "nothing of that name"))
    document = _ended(made)

    (found,) = of_faults(document)
    what = "failed" if injected else "was not injected"
    assert found.message == f"fault slow {what}: nothing of that name"
    assert (found.level, found.invalid, document.run.outcome) == ("error", True, "invalid")


def test_a_fault_that_stayed_is_a_warning(record: Record) -> None:
    """The target may have ended with it."""
    made = record()
    made.loop(turns_ms=[1])
    made.write("runner", event.FaultInjected(made.at(1), "slow", "block.sleep", "x"))
    made.write("target", event.FaultFired(made.at(1.5), "slow"))

    (found,) = of_faults(_ended(made))
    assert found.message == "fault slow was not rolled back before the record ended"
    assert (found.level, found.invalid) == ("warning", False)


def test_a_planned_fault_without_a_trace_in_the_record_did_not_happen(record: Record) -> None:
    """The run was over before its time, or before the program had imported its place."""
    made = record(settings={"faults": [{"id": "slow"}, {"id": "never"}]})
    made.loop(turns_ms=[1])
    made.write("runner", event.FaultInjected(made.at(1), "slow", "block.sleep", "x", place=PLACE))
    made.write("runner", event.FaultUndone(made.at(6), "slow", 3, 3, 1))
    document = _ended(made)

    (finding,) = [one for one in document.findings if one.rule == "faults"]
    assert finding.message == "fault never was not injected: the run was over before that"
    assert document.run.outcome == "invalid"
