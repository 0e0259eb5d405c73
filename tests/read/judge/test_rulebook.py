"""The order of findings, and the gravest of them."""

from __future__ import annotations

import pytest

from harness.read.finding import Cost, CostUnit, Finding, Level
from harness.read.judge.rulebook import gravest, in_order
from harness.record.event import Coroutine, TaskDestroyed
from tests.read.conftest import APPLICATION, LOOP_PID, Look, Record


def trouble(
    rule: str, stood_s: float, level: Level = Level.WARNING, *, explains: tuple[str, ...] = ()
) -> Finding:
    return Finding(rule, level, rule, cost=Cost(stood_s, CostUnit.STOOD_S), explains=explains)


def rules_of(found: tuple[Finding, ...]) -> list[str]:
    return [finding.rule for finding in found]


def test_what_cost_most_comes_first_after_what_spoils_the_measurement() -> None:
    """A warning outweighs an error that cost nothing; findings that weigh the same keep their order."""
    found = in_order(
        [
            Finding("words", Level.NOTE, "a note"),
            trouble("small", 1.0),
            Finding("unpriced", Level.ERROR, "an error"),
            trouble("large", 2.0),
            Finding("record", Level.WARNING, "half of it is missing", invalid=True),
            Finding("more words", Level.NOTE, "another note"),
        ]
    )

    assert rules_of(found) == ["record", "large", "small", "unpriced", "words", "more words"]
    assert (worst := gravest(found)) is not None
    assert worst.rule == "large"


@pytest.mark.parametrize(
    ("cost", "than"),
    [
        (Cost(3, CostUnit.LOST), Cost(2.5, CostUnit.STOOD_S)),
        (Cost(3, CostUnit.STOOD_S), Cost(4, CostUnit.BURNT_S)),
        (Cost(2, CostUnit.BURNT_S), Cost(15, CostUnit.MEGABYTES)),
        (Cost(200, CostUnit.MEGABYTES), Cost(5, CostUnit.LOST)),
    ],
)
def test_costs_of_different_kinds_compare(cost: Cost, than: Cost) -> None:
    """Work that stands still or is lost weighs more than a processor, and that more than memory."""
    assert cost.weight > than.weight


def test_a_symptom_stands_below_its_cause_and_above_what_weighs_less() -> None:
    """Even if it costs more; and a cause that cost nothing explains nothing."""
    cause = trouble("executor", 2.0, explains=("blocks",))

    assert rules_of(in_order([trouble("blocks", 9.0), trouble("other", 1.0), cause])) == [
        "executor",
        "blocks",
        "other",
    ]
    # A symptom that is also a cause, and costs more than its own.
    waits = trouble("standstills", 3.0, explains=("tasks",))
    root = trouble("executor", 2.0, explains=("standstills", "tasks"))
    assert rules_of(in_order([trouble("tasks", 9.0), waits, root])) == ["executor", "tasks", "standstills"]
    idle = Finding("executor", Level.NOTE, "at rest", explains=("blocks",))
    assert rules_of(in_order([idle, trouble("blocks", 9.0)])) == ["blocks", "executor"]


def test_a_note_is_never_the_gravest() -> None:
    """It may be intended, however large it is."""
    assert gravest(in_order([trouble("ending", 60.0, Level.NOTE)])) is None


@pytest.mark.parametrize(
    ("held_ms", "destroyed", "told"),
    [
        (
            300,
            3,
            "3 tasks of deliver (shop.py:7) destroyed while pending: no reference to it was kept. "
            "Besides, the loop was blocked 1.5 % of the run: 1 block.",
        ),
        (4_000, 3, "Loop blocked 20 % of the run: 1 block in f (a.py:1)."),
        (0, 1, "1 task of deliver (shop.py:7) destroyed while pending: no reference to it was kept."),
    ],
)
def test_the_gravest_trouble_is_the_first_sentence(
    record: Record, look: Look, held_ms: float, destroyed: int, told: str
) -> None:
    """Whatever rule it is of; a block that cost less is mentioned."""
    made = record()
    made.loop(turns_ms=[1.2] * 300)
    if held_ms:
        made.blocked(1, held_ms, [look("a.py:1 f", span="")])
    deliver = Coroutine("deliver", APPLICATION + "shop.py", 7)
    made.write("target", TaskDestroyed(made.at(2), LOOP_PID, deliver, destroyed))
    made.ended()

    document = made.document()

    assert document.run.verdict == told
    assert document.findings[0].next


@pytest.mark.parametrize(
    ("held_ms", "explains"),
    [
        ([15_000], ("growth", "standstills", "executors")),
        ([6_000, 6_000], ("growth", "standstills", "executors")),
        ([5_000], ()),
    ],
)
def test_lines_that_hold_the_loop_most_of_the_time_explain_what_piles_up(
    record: Record, look: Look, held_ms: list[float], explains: tuple[str, ...]
) -> None:
    """Nobody can empty a queue meanwhile, whichever line it is; a quarter of the time explains nothing."""
    made = record()
    made.loop(turns_ms=[1.2] * 300)
    for number, one_ms in enumerate(held_ms):
        made.blocked(1 + 7 * number, one_ms, [look(f"a.py:{number} f{number}", span="")])
    made.ended()

    found = [one for one in made.document().findings if one.rule == "blocks"]

    assert [one.explains for one in found] == [explains] * len(held_ms)
