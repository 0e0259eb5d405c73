"""What is said of tasks that nobody serves, and of tasks that died."""

from __future__ import annotations

from typing import Any

import pytest

from harness.record import event
from harness.record.event import Frame
from tests.read.conftest import Record, Recording
from tests.read.rules.test_tasks import APPLICATION, LOOP_PID, SITE, STDLIB

REQUEST = event.Coroutine(
    "request",
    APPLICATION + "web.py",
    10,
    stack=(
        Frame(APPLICATION + "web.py", 14, "request"),
        Frame(SITE + "pooling/pool.py", 88, "Pool.connection"),
        Frame(STDLIB + "asyncio/locks.py", 212, "Lock.acquire"),
    ),
)


def standstill(made: Recording, seconds: float = 5.0, **more: Any) -> None:
    """Nobody was served from the first second on, for that long."""
    made.loop(turns_ms=[1.0] * 10)
    of: dict[str, Any] = {
        "what": "Semaphore.acquire",
        "thing": "Semaphore",
        "waiting": event.TasksAtPlace(REQUEST, ("request-1",), 146),
        "arrived": 140,
        "arrived_ns": made.at(1 + seconds),
        "gap_ns": 0,
        "holders": (),
        "held_by": 0,
        "cause": "",
        "works": False,
        "ended": False,
    }
    at_ns = made.at(1 + seconds)
    made.write("target", event.Standstill(at_ns, LOOP_PID, 0, since_ns=made.at(1), **{**of, **more}))


def said(made: Recording, rule: str = "standstills") -> list[tuple[str, str, int | None]]:
    return [(f.level, f.message, f.line) for f in made.document().findings if f.rule == rule]


def test_the_place_of_a_standstill_is_the_programs_line_and_the_librarys(record: Record) -> None:
    """With the time, the number of tasks, and how many came in it; it is the verdict."""
    made = record()
    standstill(made)

    message = (
        "146 tasks of request waited for a Semaphore at request (web.py:14), in Pool.connection "
        "(pooling/pool.py:88): none was served for 5.00 s, in which 140 of them came"
    )
    assert said(made) == [("warning", message, 14)]
    assert made.document().run.verdict.endswith(f": {message}.")


@pytest.mark.parametrize(
    ("seconds", "more"),
    [
        (2.0, {}),
        (5.0, {"gap_ns": 2_000_000_000}),
        (5.0, {"timed": True}),
        (5.0, {"works": True}),
        (5.0, {"arrived": 0, "arrived_ns": 0}),
        (5.0, {"waiting": event.TasksAtPlace(REQUEST, ("request-1",), 2)}),
    ],
    ids=[
        "short",
        "as slow before",
        "a timer will serve them",
        "at work",
        "all came at once",
        "two wait on purpose",
    ],
)
def test_waits_that_are_no_standstill(record: Record, seconds: float, more: dict[str, Any]) -> None:
    """Nothing is said of what may be slow, or meant."""
    made = record()
    standstill(made, seconds, **more)

    assert said(made) == []


@pytest.mark.parametrize("cause", ["itself", "circle", "gone", "feeders", "undone"])
def test_one_task_that_waits_for_what_never_comes_is_enough(record: Record, cause: str) -> None:
    """A deadlock needs no crowd, and no arrivals."""
    made = record()
    one = event.TasksAtPlace(REQUEST, ("request-1",), 1)
    standstill(made, 2.5, cause=cause, waiting=one, holders=(one,), arrived=0, arrived_ns=0)

    assert [level for level, _, _ in said(made)] == ["warning"]


def test_a_semaphore_whose_holders_are_at_work_is_a_note(record: Record) -> None:
    """They are slow, but they are not stuck."""
    made = record()
    standstill(made, 11.0, works=True)

    assert [level for level, _, _ in said(made)] == ["note"]


def test_the_time_in_which_the_loop_was_blocked_does_not_count(record: Record) -> None:
    """A block of its own trouble: of five seconds, one is left."""
    made = record()
    standstill(made)
    made.write("target", event.Blocked(made.at(1.5), 4_000_000_000, True, LOOP_PID, 0, (), (), 0))

    assert said(made) == []


DIED: dict[str, Any] = {
    "coroutine": event.Coroutine("consume", APPLICATION + "bus.py", 14),
    "task": "consumer",
    "error": "ValueError: bad message",
    "stack": (Frame(APPLICATION + "bus.py", 18, "consume"),),
    "retrieved": False,
    "keeper": "",
    "queue": "Queue",
    "queued": 297,
    "putters": 0,
}


@pytest.mark.parametrize(
    ("more", "levels"),
    [
        ({}, ["warning"]),
        ({"queue": "", "queued": None, "putters": None}, ["warning"]),
        ({"queue": "", "queued": None, "putters": None, "keeper": "collection"}, ["note"]),
        (
            {"queue": "", "queued": None, "putters": None, "keeper": "collection", "at_barrier": 2},
            ["warning"],
        ),
        ({"retrieved": True}, []),
        ({"gone": True}, []),
    ],
    ids=[
        *("work waits for it", "nobody noticed", "somebody may look at it", "others wait for it"),
        *("looked at", "deleted unreported"),
    ],
)
def test_a_task_that_died_is_told_until_somebody_looks(
    record: Record, more: dict[str, Any], levels: list[str]
) -> None:
    """A warning if work waits for it, or if nobody will notice."""
    made = record()
    made.loop(turns_ms=[1.0] * 10)
    made.write("target", event.TaskDied(made.at(4), LOOP_PID, 0, made.at(1), **{**DIED, **more}))

    assert [level for level, _, _ in said(made, "deaths")] == levels
