"""How many tasks and callbacks a record has, where its step log has seen all of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.read.calls.allowlist import Allowlist
from harness.read.compare.measures.steps import step_counts
from harness.read.compare.why.place import ChangedLines
from harness.read.compare.why.reasons import ExplainedRun, reasons
from harness.read.evidence import Evidence
from harness.read.history import History, load
from harness.record import event, packing
from tests.read.conftest import APPLICATION, LOOP_PID, Record, Recording

HANDLE, AUDIT = (
    event.Frame(f"{APPLICATION}shop.py", line, name) for line, name in ((5, "handle"), (9, "audit"))
)


def steps(
    made: Recording, at_s: float, tasks: Sequence[int], *, taken: int, share: float = 1.0, dropped: int = 0
) -> None:
    """The steps of one second: each of these tasks takes two, the first at the second's beginning."""
    rows = [
        (number * 10 + part, 0, made.at(at_s + part / 2), made.at(at_s + part / 2) + 1_000, 0, number)
        for number in tasks
        for part in range(2)
    ]
    of_tasks = [(number, 1 + number % 2) for number in tasks]
    made.write(
        "target",
        event.StepsTaken(
            at_ns=made.at(at_s + 1),
            pid=LOOP_PID,
            loop=0,
            steps=packing.pack([number for row in rows for number in row], 6),
            long_steps="",
            tasks=packing.pack([number for row in of_tasks for number in row], 2),
            works="",
            spans="",
            place_numbers=(1, 2),
            places=(HANDLE, AUDIT),
            share=share,
            taken=taken,
            dropped=dropped,
        ),
    )


def history_of(made: Recording) -> History:
    made.loop(turns_ms=[1.0])
    made.ended()
    made.close()
    return load(made.folder)


def test_tasks_are_counted_by_function_when_they_begin_and_callbacks_as_the_loop_ran_them(
    record: Record,
) -> None:
    """In the whole run, and in a part of it; callbacks are shared by time between two readings."""
    made = record()
    steps(made, 0, [2, 3, 4], taken=10)
    steps(made, 1, [3, 4, 6, 7], taken=30)
    history = history_of(made)

    whole = step_counts(history, 0, made.at(10))
    assert whole is not None
    assert (whole.callbacks, whole.tasks) == (30, {HANDLE: 3, AUDIT: 2})
    part = step_counts(history, made.at(1), made.at(1.5))
    assert part is not None
    assert part.tasks == {HANDLE: 1, AUDIT: 1}
    assert part.callbacks == 10


@pytest.mark.parametrize(("share", "dropped"), [(0.5, 0), (1.0, 3), (None, 0)])
def test_what_was_not_seen_whole_is_not_counted(record: Record, share: float | None, dropped: int) -> None:
    """A part of the traces, steps that were dropped, and no log at all."""
    made = record()
    if share is not None:
        steps(made, 0, [2, 3], taken=10)
        steps(made, 1, [4], taken=20, share=share, dropped=dropped)

    assert step_counts(history_of(made), 0, made.at(10)) is None


def explained(record: Record, name: str, tasks: Sequence[int]) -> ExplainedRun:
    """A run in which these tasks began: the even ones by one function, the odd ones by the other."""
    made = record(name)
    steps(made, 0, tasks, taken=40)
    return ExplainedRun.of(Evidence(history_of(made), Allowlist()))


def test_the_function_that_runs_as_more_tasks_is_named(record: Record) -> None:
    """With its line and its counts; where nothing is more, nothing is."""
    base = [explained(record, f"base-{n}", [*range(2, 22)]) for n in range(3)]
    same = [explained(record, f"same-{n}", [*range(2, 22)]) for n in range(3)]
    head = [explained(record, f"head-{n}", [*range(2, 22), *range(101, 121, 2)]) for n in range(3)]

    (reason,) = [one for one in reasons(base, head, ChangedLines()) if "tasks" in one.text]
    assert reason.text == f"more tasks of audit ({APPLICATION}shop.py:9): 10 → 20 per run"
    assert (reason.file, reason.line) == (AUDIT.file, 9)
    assert [one for one in reasons(base, same, ChangedLines()) if "tasks" in one.text] == []
    assert [one for one in reasons(head, base, ChangedLines()) if "tasks" in one.text] == []
