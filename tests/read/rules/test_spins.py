"""What is said of a loop that spun."""

from __future__ import annotations

from typing import Any

import pytest

from harness.record import event
from harness.record.event import Frame
from tests.read.conftest import APPLICATION, LOOP_PID, SITE, STDLIB, Record, Recording

FEED = event.Coroutine(
    "Feed.follow",
    APPLICATION + "feed.py",
    10,
    stack=(
        Frame(APPLICATION + "feed.py", 14, "Feed.follow"),
        Frame(SITE + "wire/stream.py", 212, "Stream.line"),
        Frame(STDLIB + "asyncio/tasks.py", 650, "sleep"),
    ),
)
DELIVER = Frame(SITE + "scopes/scope.py", 77, "Scope.deliver")


def spun(made: Recording, from_s: float = 2.0, to_s: float = 12.0, **more: Any) -> None:
    """A loop that spun for most of 20 s, at 90 % of a processor."""
    fields: dict[str, Any] = {
        "name": "Feed.follow",
        "is_timer": False,
        "count": 1,
        "turns": round((to_s - from_s) * 50_000),
        "cpu_ns": round((to_s - from_s) * 9e8),
        "alone": 0.5,
        "looks": 4,
        "coroutine": FEED,
        "callback": None,
    }
    made.write("target", event.LoopSpun(made.at(from_s), made.at(to_s), LOOP_PID, 0, **(fields | more)))


def said(made: Recording) -> list[tuple[str, str, str | None, int | None]]:
    found = (one for one in made.document().findings if one.rule == "spins")
    return [(one.level, one.message, one.file, one.line) for one in found]


def test_a_spin_is_the_first_sentence_with_its_lines(record: Record) -> None:
    """The program's line, and beside it the library's; the cost is what burnt while nothing else ran."""
    made = record()
    made.loop(turns_ms=[1.0] * 10)
    spun(made, to_s=7.0)
    spun(made)

    message = (
        "he loop spun for 10.0 s from 2.0 s into the run, 50,000 turns per second and 90 % of a processor: "
        "Feed.follow waits for nothing at feed.py:14 Feed.follow, in wire/stream.py:212 Stream.line"
    )
    document = made.document()
    assert said(made) == [("warning", "t" + message, APPLICATION + "feed.py", 14)]
    assert document.run.verdict.endswith(": T" + message + ".")  # the record is partial
    (cost,) = [one.cost for one in document.findings if one.rule == "spins"]
    assert cost is not None
    assert (cost.amount, cost.unit) == (4.5, "processor seconds burnt")


@pytest.mark.parametrize(
    ("more", "ends"),
    [
        (
            {"about": (FEED,)},
            "Scope.deliver (scopes/scope.py:77) schedules itself again at each turn, "
            "for the task of Feed.follow at feed.py:14",
        ),
        ({"is_timer": True}, "Scope.deliver (scopes/scope.py:77) is a timer that is due at once"),
        (
            {"file": "its other end is closed"},
            "Scope.deliver (scopes/scope.py:77) is called for a file that is always ready: "
            "its other end is closed",
        ),
        ({"count": 3}, "3 × Scope.deliver (scopes/scope.py:77) schedules itself again at each turn"),
        ({"callback": None}, "Scope.deliver schedules itself again at each turn"),
    ],
    ids=["about a task", "timer", "file", "three at a time", "in C"],
)
def test_what_spun_is_named(record: Record, more: dict[str, Any], ends: str) -> None:
    """A callback with its line, the program's task that it is about, and why a file is always ready."""
    made = record()
    made.loop(turns_ms=[1.0] * 10)
    spun(made, **({"name": "Scope.deliver", "coroutine": None, "callback": DELIVER} | more))

    ((_, message, _, _),) = said(made)
    assert message.endswith(f"of a processor: {ends}")


def test_spins_of_one_place_are_added_up(record: Record) -> None:
    """One after the other, each with its own begin."""
    made = record()
    made.loop(turns_ms=[1.0] * 10)
    spun(made, 2, 5)
    spun(made, 8, 12)

    ((_, message, _, _),) = said(made)
    assert message.startswith("the loop spun for 7.00 s from 2.0 s into the run, 50,000 turns per second")


@pytest.mark.parametrize("more", [{"looks": 1}, {"to_s": 2.5}], ids=["found once", "half a second"])
def test_a_short_spin_is_no_finding(record: Record, more: dict[str, Any]) -> None:
    """A program may wait for its own start like that."""
    made = record()
    made.loop(turns_ms=[1.0] * 10)
    spun(made, **more)

    assert said(made) == []
    assert made.document().run.verdict.count("No block") == 1


def test_a_coroutine_of_a_library_alone_is_named_by_its_own_line(record: Record) -> None:
    """Where nothing of the program is on its stack."""
    made = record()
    made.loop(turns_ms=[1.0] * 10)
    pump = event.Coroutine("Stream.pump", SITE + "wire/stream.py", 200, stack=FEED.stack[1:])
    spun(made, name="Stream.pump", coroutine=pump)

    ((_, message, file, line),) = said(made)
    assert message.endswith("Stream.pump waits for nothing at wire/stream.py:212 Stream.line")
    assert (file, line) == (SITE + "wire/stream.py", 212)
