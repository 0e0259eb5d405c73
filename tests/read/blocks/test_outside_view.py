"""Looks from outside join what the probe saw from inside."""

from __future__ import annotations

import pytest

from harness.record import page
from harness.record.event import (
    Blocked,
    DumpFailed,
    Frame,
    OtherThread,
    StepCandidate,
    ThreadDump,
    ThreadsDumped,
)
from harness.record.value import replace
from tests.read.conftest import Look, Record, Recording, Watch, Whole

MS = 1_000_000
LOOP, BILLER = 100, 101
OUTSIDE = Frame("/usr/lib/python3.12/asyncio/events.py", 88, "Handle._run")


def witness(
    made: Recording,
    at_s: float,
    native_id: int,
    *frames: tuple[str, int, str],
    began_s: float = 4.0,
    name: str = "biller",
    over_s: float = 0.0,
) -> None:
    """A look from outside that found the thread *native_id* with the GIL in hand."""
    stack = (OUTSIDE, *(Frame(f"/srv/shop/{file}", line, function) for file, line, function in frames))
    threads = (ThreadDump(name, native_id, True, True, stack), ThreadDump("idle", 102, False, False, ()))
    over_ns = made.at(over_s) if over_s else 0
    made.write(
        "runner",
        ThreadsDumped(made.at(at_s), 4242, 0, made.at(began_s), LOOP, threads=threads, over_ns=over_ns),
    )


def test_a_thread_seen_with_the_gil_is_the_culprit_whoever_was_suspected(made: Recording) -> None:
    """The line is the one it was seen on, not the one where it came to rest."""
    rested = OtherThread("biller", (Frame("/srv/shop/bill.py", 34, "close"),), 500 * MS, 0, "running")
    made.blocked(4.0, 300, woke_ns=made.at(4.299), others=(rested,))
    witness(made, 4.1, BILLER, ("bill.py", 10, "to_decimal"))

    block = made.only_block()
    assert (block.function, block.line, block.cause) == ("to_decimal", 10, "gil")
    assert [culprit.thread for culprit in block.culprits] == ["biller"]


def test_a_loop_seen_with_the_gil_is_a_sample_of_its_own_turn(made: Recording, look: Look) -> None:
    """Code in C on the loop's own thread: the look from outside finds the line and keeps the task."""
    rest = replace(look("log.py:12 rest"), first_ns=made.at(4.299), last_ns=made.at(4.299))
    whole: Whole = {"whole_cpu_ns": 290 * MS, "whole_ns": 300 * MS}
    made.write(
        "target",
        Blocked(made.at(4.0), 300 * MS, True, 4242, 0, (rest,), victims=(), victims_total=0, **whole),
    )
    for at_s in (4.05, 4.08, 4.11):
        witness(made, at_s, LOOP, ("log.py", 9, "parse"))

    block = made.only_block()
    assert (block.function, block.line, block.cause) == ("parse", 9, "cpu")
    assert (block.task, block.span) == ("checkout-1", "checkout")


def test_the_probe_found_with_the_gil_is_nobodys_culprit(made: Recording) -> None:
    """It has just got it, to look at the late loop."""
    made.blocked(4.0, 300, woke_ns=made.at(4.299))
    began = Frame("/opt/harness/record/hidden_thread.py", 33, "Background._run")
    stack = (began, Frame("/opt/harness/probe/loop/watchdog.py", 126, "Watchdog._run"))
    threads = (ThreadDump("", BILLER, True, True, stack),)
    made.write("runner", ThreadsDumped(made.at(4.1), 4242, 0, made.at(4.0), native_id=LOOP, threads=threads))

    block = made.only_block()
    assert (block.function, block.cause, block.culprits) == ("<late wake-up>", "unknown", ())


@pytest.mark.parametrize(("cpu_ms", "cause"), [(700, "cpu"), (20, "descheduled")])
def test_a_loop_that_kept_the_gil_is_judged_by_what_it_computed(
    made: Recording, cpu_ms: int, cause: str
) -> None:
    """On a full machine it got a part of the time only; more than the limit would have been late anywhere."""
    bystander = OtherThread(
        "biller", (Frame("/srv/shop/bill.py", 34, "close"),), 500 * MS, 90 * MS, "running"
    )
    whole: Whole = {"whole_cpu_ns": cpu_ms * MS, "whole_ns": 2010 * MS, "whole_queued_ns": 1300 * MS}
    if cpu_ms < 50:
        whole["whole_queued_ns"] = (2000 - cpu_ms) * MS
    made.blocked(4.0, 2000, others=(bystander,), **whole)
    for at_s in (4.1, 4.4, 4.7, 5.0):
        witness(made, at_s, LOOP, ("log.py", 9, "parse"), name="MainThread")

    block = made.only_block()
    assert (block.function, block.line, block.cause, block.culprits) == ("parse", 9, cause, ())


def test_a_watch_that_saw_the_end_only_says_nothing_of_the_turn(made: Recording, look: Look) -> None:
    """Code in C kept the GIL, and the probe looked once, after it: in that moment nothing was computed."""
    rest = replace(look("log.py:12 rest"), first_ns=made.at(5.999), last_ns=made.at(5.999), syscall="futex")
    watch: Watch = {"cpu_ns": 0, "queued_ns": 0, "watched_ns": 1 * MS}
    whole: Whole = {"whole_cpu_ns": 1900 * MS, "whole_ns": 2010 * MS}
    event = Blocked(
        made.at(4.0), 2000 * MS, True, 4242, 0, (rest,), victims=(), victims_total=0, **watch, **whole
    )
    made.write("target", event)
    for at_s in (4.1, 4.4, 4.7, 5.0):
        witness(made, at_s, LOOP, ("log.py", 9, "parse"))

    block = made.only_block()
    assert (block.function, block.line, block.cause) == ("parse", 9, "cpu")


@pytest.mark.parametrize(
    ("over_s", "was_looked_at", "line"),
    [(4.29, True, 9), (4.31, True, 12), (4.31, False, 9)],
    ids=["in time", "too late", "too late, but all there is"],
)
def test_a_look_that_was_over_after_the_turn_is_not_preferred(
    made: Recording, look: Look, over_s: float, was_looked_at: bool, line: int
) -> None:
    """It may have seen what came next."""
    rest = replace(look("log.py:12 rest"), first_ns=made.at(4.299), last_ns=made.at(4.299))
    whole: Whole = {"whole_cpu_ns": 290 * MS, "whole_ns": 300 * MS}
    samples = (rest,) if was_looked_at else ()
    made.write(
        "target",
        Blocked(made.at(4.0), 300 * MS, True, 4242, 0, samples, victims=(), victims_total=0, **whole),
    )
    witness(made, 4.27, LOOP, ("log.py", 9, "next_step"), over_s=over_s)

    assert made.only_block().line == line


@pytest.mark.parametrize("at_s", [3.9, 4.4])
def test_a_look_at_another_time_says_nothing(made: Recording, at_s: float) -> None:
    """Before the turn, or after it."""
    made.blocked(4.0, 300, woke_ns=made.at(4.299))
    witness(made, at_s, BILLER, ("bill.py", 10, "to_decimal"))

    assert made.only_block().cause == "unknown"


@pytest.mark.parametrize("failed", [True, False])
def test_that_nobody_could_look_from_outside_is_told_with_the_guess(made: Recording, failed: bool) -> None:
    """Who held the GIL is then known from inside only."""
    rested = OtherThread("biller", (Frame("/srv/shop/bill.py", 34, "close"),), 500 * MS, 0, "running")
    made.blocked(4.0, 300, woke_ns=made.at(4.299), others=(rested,))
    if failed:
        made.write("runner", DumpFailed(made.at(0.1), "py-spy is not installed"))
    made.ended()

    notes = [finding.message for finding in made.document().findings if finding.level == "note"]
    guess = "no sample from outside (py-spy is not installed): the GIL's holder is inferred from CPU time"
    assert notes == ([guess] if failed else [])


def test_a_suspect_whom_nobody_saw_with_the_gil_is_cleared(made: Recording) -> None:
    """A look from outside found no thread that had it."""
    running = OtherThread("biller", (Frame("/srv/shop/bill.py", 34, "close"),), 500 * MS, 0, "running")
    made.blocked(4.0, 300, woke_ns=made.at(4.299), others=(running,))
    threads = (
        ThreadDump("biller", BILLER, False, False, ()),
        ThreadDump("MainThread", LOOP, False, False, ()),
    )
    made.write("runner", ThreadsDumped(made.at(4.1), 4242, 0, made.at(4.0), native_id=LOOP, threads=threads))

    assert made.only_block().cause == "unknown"


@pytest.mark.parametrize("native_id", [BILLER, LOOP])
def test_a_thread_without_a_stack_is_nobodys_culprit(made: Recording, native_id: int) -> None:
    """It changed under the look, or had not begun."""
    made.blocked(4.0, 300, woke_ns=made.at(4.299))
    threads = (ThreadDump("biller", native_id, True, True, ()),)
    made.write("runner", ThreadsDumped(made.at(4.1), 4242, 0, made.at(4.0), native_id=LOOP, threads=threads))

    block = made.only_block()
    assert (block.function, block.cause, block.culprits) == ("<late wake-up>", "unknown", ())


@pytest.mark.parametrize(
    ("coroutines", "task"),
    [(("Log.parse", "serve"), "task 0"), (("parse", "Other.parse"), ""), (("serve", "watch"), "")],
    ids=["one fits", "two fit", "none fits"],
)
def test_a_step_that_only_the_outside_saw_is_of_the_one_task_it_fits(
    made: Recording, coroutines: tuple[str, ...], task: str
) -> None:
    """By the function that the stack begins with; with two such tasks nobody knows."""
    suspects = tuple(
        StepCandidate(f"task {n}", coroutine, "parsing", "ab", "cd") for n, coroutine in enumerate(coroutines)
    )
    made.write(
        "target",
        Blocked(made.at(4.0), 300 * MS, True, 4242, 0, (), victims=(), victims_total=0, candidates=suspects),
    )
    witness(made, 4.05, LOOP, ("log.py", 5, "parse"), ("log.py", 9, "decode"))

    block = made.only_block()
    assert (block.function, block.task, block.span) == ("decode", task, "parsing" if task else "")


@pytest.fixture
def unstopped(record: Record) -> Recording:
    """A loop that was still in a turn when its process ended: it began at 4 s."""
    recording = record()
    recording.loop(limit_ms=50, stopped=False)
    recording.words[page.TURN] = recording.at(4.0)
    return recording


def test_a_turn_that_only_the_outside_saw_is_a_block_when_the_process_ended_in_it(
    unstopped: Recording,
) -> None:
    """The probe never got the GIL again; what it was seen to do is told, until it was last heard of."""
    for at_s in (4.05, 4.3, 4.6):
        witness(unstopped, at_s, LOOP, ("log.py", 9, "parse"))

    block = unstopped.only_block()
    assert (block.function, block.line, block.cause, block.ended) == ("parse", 9, "cpu", False)
    assert block.held_ms == pytest.approx(600)


def test_a_thread_may_have_had_the_gil_until_the_process_ended(unstopped: Recording) -> None:
    """The loop was due and never awake again: that thread is the culprit of the block."""
    unstopped.words[page.TURN], unstopped.words[page.DUE] = 0, unstopped.at(4.0)
    witness(unstopped, 4.1, BILLER, ("bill.py", 10, "to_decimal"))

    block = unstopped.only_block()
    assert (block.function, block.cause) == ("to_decimal", "gil")
    assert [culprit.thread for culprit in block.culprits] == ["biller"]


def test_a_turn_of_which_the_probe_has_told_is_no_second_block(unstopped: Recording, look: Look) -> None:
    """What it saw is told once, and lasts as long as the process is known to have lived in it."""
    unstopped.blocked(4.0, 300, [look("log.py:9 parse")], ended=False)
    witness(unstopped, 4.4, BILLER, ("bill.py", 10, "to_decimal"))

    block = unstopped.only_block()
    assert block.function == "parse"
    assert block.held_ms == pytest.approx(400)


def test_a_look_at_an_earlier_turn_says_nothing_of_the_last_one(unstopped: Recording) -> None:
    """The loop was well again before the process ended."""
    witness(unstopped, 3.9, LOOP, ("log.py", 9, "parse"), began_s=3.8)

    unstopped.ended()
    assert unstopped.document().blocks == ()
