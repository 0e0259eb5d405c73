"""Which calls that stood behind a pool of threads are trouble, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from harness.read.finding import Cost, CostUnit, Finding
from harness.record import event
from harness.record.event import Frame
from harness.record.value import replace
from tests.read.conftest import Record, Recording

LOOP_PID = 4242
APPLICATION, STDLIB = "/srv/shop/", "/usr/lib/python3.12/"
SECOND = 1_000_000_000
UNKNOWN = Frame("", 0, "")

RENDER, READ = Frame(APPLICATION + "pages.py", 5, "render"), Frame(APPLICATION + "rows.py", 7, "read")
PAGE, REQUEST = Frame(APPLICATION + "pages.py", 20, "page"), Frame(APPLICATION + "web.py", 30, "request")
AT_RENDER = event.PoolWorkers(
    RENDER,
    PAGE,
    stack=(
        Frame(STDLIB + "concurrent/futures/thread.py", 83, "_worker"),
        Frame(STDLIB + "concurrent/futures/thread.py", 58, "_WorkItem.run"),
        Frame(APPLICATION + "pages.py", 9, "render"),
        Frame(STDLIB + "socket.py", 700, "SocketIO.readinto"),
    ),
    threads=4,
)
# Requests that came when all threads rendered, and stood while none became free.
READS = event.StandingCalls(
    READ,
    REQUEST,
    count=6,
    waited_ns=9 * SECOND,
    late=6,
    late_times=6,
    stood_ns=8 * SECOND,
    behind_ns=8 * SECOND,
    given_up=0,
)
# What the program has put into the queue itself.
RENDERS = event.StandingCalls(RENDER, PAGE, 30, 20 * SECOND, 0, 0, 0, 0, 0)


def stood(made: Recording, *calls: event.StandingCalls, **more: Any) -> event.CallsStood:
    """Calls that stood behind the rendering of pages, in a record with a loop."""
    if not hasattr(made, "words"):
        made.loop(turns_ms=[1.0] * 10)
    happened = event.CallsStood(
        at_ns=made.at(12),
        pid=LOOP_PID,
        pool=1,
        began_ns=made.at(2),
        name="the default executor",
        kind="executor",
        threads=4,
        waiting=40,
        stood_ns=9 * SECOND,
        longest_ns=5 * SECOND,
        calls=calls,
        workers=(AT_RENDER,),
        ended=True,
    )
    happened = replace(happened, **more)
    made.write("target", happened)
    return happened


def found(made: Recording) -> list[Finding]:
    return [finding for finding in made.document().findings if finding.rule == "executors"]


def test_calls_of_others_that_stood_are_the_first_sentence(record: Record) -> None:
    """With their number, their functions, those who filled the pool last, and the line at which all wait."""
    made = record()
    stood(made, RENDERS, READS)
    (finding,) = found(made)

    assert finding.message == (
        "36 calls (read, render) stood up to 20.0 s behind render (pages.py:9): "
        "all 4 threads of the default executor were at work in it"
    )
    assert (finding.level, finding.line, finding.cost) == ("warning", 9, Cost(8.0, CostUnit.STOOD_S))
    assert "36 calls (read, render) stood up to 20.0 s behind render" in made.document().run.verdict


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"late": 0, "late_times": 0, "stood_ns": 0, "behind_ns": 0}, "they filled the pool"),
        ({"stood_ns": SECOND // 2, "behind_ns": 0}, "a thread took calls all the time"),
        ({"stood_ns": 0, "behind_ns": 3 * SECOND, "waited_ns": 2 * SECOND}, "they waited for a moment"),
        ({"stood_ns": 0, "asker": PAGE}, "they are a further step of the same work"),
        ({"stood_ns": 2 * SECOND, "function": RENDER, "asker": PAGE}, "they are the same work"),
        ({"stood_ns": 9 * SECOND, "function": RENDER, "asker": PAGE, "late_times": 2}, "it came in bursts"),
        ({"stood_ns": 4 * SECOND, "function": UNKNOWN, "asker": UNKNOWN}, "it is not known what they are"),
    ],
)
def test_calls_that_filled_the_pool_or_are_served_are_no_trouble(
    change: dict[str, Any], why: str, record: Record
) -> None:
    """A queue in which calls waited for less than ten seconds is not mentioned."""
    made = record()
    stood(made, replace(READS, **change))

    assert found(made) == [], why


@pytest.mark.parametrize(
    "change",
    [
        {"function": RENDER},  # the same function for others
        {"asker": PAGE},  # another function for the same ones: name look-ups, for instance
        {"stood_ns": 0},  # threads took calls, but theirs came last
        {"function": RENDER, "asker": PAGE, "late_times": 3},  # the same, which kept coming
    ],
)
def test_calls_that_did_not_fill_the_pool_are_trouble(change: dict[str, Any], record: Record) -> None:
    """Whether they differ by their function, by who asked for them, or kept coming while none was taken."""
    made = record()
    stood(made, replace(READS, **change))

    assert [finding.level for finding in found(made)] == ["warning"]


def test_a_long_queue_that_the_program_filled_is_a_note(record: Record) -> None:
    """It has no cost, so it is never the verdict."""
    made = record()
    stood(made, RENDERS)
    (finding,) = found(made)

    assert (finding.level, finding.cost) == ("note", None)
    assert finding.message == (
        "30 calls (render) waited up to 20.0 s in the queue of the default executor, "
        "which the program has filled with the same work"
    )
    assert "No block" in made.document().run.verdict


def test_the_latest_event_of_one_backlog_counts_and_several_add_up(record: Record) -> None:
    """Calls that stand again behind the same work are one finding."""
    made = record()
    stood(made, READS, ended=False)
    stood(made, replace(READS, count=10, stood_ns=10 * SECOND))
    stood(made, replace(READS, count=2, stood_ns=2 * SECOND), began_ns=made.at(15))
    (finding,) = found(made)

    assert finding.message.startswith("12 calls (read) stood up to 9.00 s behind render")
    assert finding.cost == Cost(12.0, CostUnit.STOOD_S)


@pytest.mark.parametrize(("circled", "is_circle"), [(4, True), (3, False)])
def test_a_circle_takes_all_threads_of_the_pool(circled: int, is_circle: bool, record: Record) -> None:
    """While one thread is at other work, it may still serve what the others wait for."""
    made = record()
    needed = event.Coroutine("refresh", APPLICATION + "cache.py", 12)
    stood(made, replace(READS, function=RENDER), circle=needed, circled=circled)
    (finding,) = found(made)

    circle = (
        "6 calls (render) stood up to 9.00 s in a circle: all 4 threads of the default executor wait in "
        "render (pages.py:9) for refresh (cache.py:12) of the loop, which itself waits for one of them"
    )
    assert (finding.message == circle) == is_circle
    assert finding.cost == Cost(9.0 if is_circle else 8.0, CostUnit.STOOD_S)


def test_calls_that_were_given_up_are_counted(record: Record) -> None:
    """They are part of the sentence."""
    made = record()
    stood(made, replace(READS, given_up=1))

    assert found(made)[0].message.endswith("at work in it; 1 call was given up")


def test_work_that_waits_in_another_function_is_named_with_it(record: Record) -> None:
    """The submitted function says which work it is, the innermost one of the program where it waits."""
    made = record()
    inner = Frame(APPLICATION + "client.py", 3, "fetch")
    stood(made, READS, workers=(replace(AT_RENDER, stack=(*AT_RENDER.stack[:3], inner)),))

    assert "behind render, in fetch (client.py:3): all 4 threads" in found(made)[0].message
