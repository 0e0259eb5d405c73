"""`ps`, and what every command about tasks has in common: how a task is named and described."""

from __future__ import annotations

import pytest

from tests.support.commanded import wait
from tests.support.console_programs import blocked, done, marked_place, refused, row, rows, settled
from tests.support.consoled import Consoled

ON_ASYNCIO = pytest.mark.parametrize("tasks_service", ["asyncio"], indirect=True)


def test_every_task_is_shown_with_what_it_waits_for(program: Consoled) -> None:
    """A wait is described by asyncio's object, by the awaited task, and by the program's own line."""
    done(
        program,
        "q = asyncio.Queue(); start(a=consume(q), b=sleep_long(), c=follow('b'), d=together(sleep_long()))",
    )

    number = row(program, "b")["id"]
    wait(lambda: row(program, "c")["waits_for"] == f"task {number}")
    settled(program, *"abd")
    assert row(program, "a")["waits_for"].startswith("Queue.get of Queue ")
    assert row(program, "a")["where"] == f"{marked_place(program, 'gets')} items"
    assert row(program, "b")["waits_for"].startswith("sleep")
    assert row(program, "b")["where"] == f"{marked_place(program, 'sleeps')} sleep_long"
    assert row(program, "d")["waits_for"] == "gather, 1 of 1 left"


def test_a_wait_of_a_library_is_called_after_its_function(program: Consoled) -> None:
    """A wait is named after the library function that the program called, or after the executor."""
    done(program, "start(a=read_line(), b=asyncio.to_thread(nap, 0.5), c=asyncio.Event().wait())")

    assert wait(lambda: row(program, "a")["waits_for"] == "StreamReader.readline")
    assert row(program, "a")["where"] == f"{marked_place(program, 'reads')} read_line"
    settled(program, "c")
    assert row(program, "b")["waits_for"] == "executor"
    assert row(program, "c")["waits_for"].startswith("Event.wait of Event ")


def test_a_task_that_blocks_is_the_running_one(program: Consoled) -> None:
    """While the loop is blocked, the blocking task is running, at the line that blocks."""
    done(program, "start(sleeper=sleep_long())")
    settled(program, "sleeper")
    blocked(program, "start(blocker=block(2))")

    assert [(one["task"], one["where"]) for one in rows(program, "ps --state running")] == [
        ("blocker", f"{marked_place(program, 'naps')} nap")
    ]
    assert row(program, "sleeper")["state"] == "waiting"


@ON_ASYNCIO
def test_a_number_stays_with_its_task(program: Consoled) -> None:
    """A task keeps its number while other tasks come and go."""
    done(program, "start(a=sleep_long())")
    number = row(program, "a")["id"]
    done(program, "start(b=sleep_long(), c=sleep_long())")
    assert row(program, "b")["id"] != number

    assert row(program, "a")["id"] == number
    assert program.ask(f"task {number} --json")["task"] == "a"
    assert program.ask("task a --json")["id"] == number


@ON_ASYNCIO
def test_a_name_that_is_not_clear_is_refused(program: Consoled) -> None:
    """An ambiguous name is refused with the numbers to choose from, an unknown one as unknown."""
    done(program, "start(twin=sleep_long()); kept[1] = tasks['twin']; start(twin=sleep_long())")
    wait(lambda: len(rows(program, "ps --filter task=twin")) == 2)

    assert refused(program, "where twin").startswith("2 tasks are called 'twin'; choose one by its number")
    assert "no pending task has the number or name 'nobody'" in refused(program, "where nobody")
    assert "no pending task has the number or name '99999'" in refused(program, "where 99999")
    done(program, "kept[1].cancel()")


@ON_ASYNCIO
def test_a_task_that_is_gone_is_told_so(program: Consoled) -> None:
    """The number of a deleted task is not reused."""
    done(program, "start(a=sleep_long())")
    number = row(program, "a")["id"]
    done(program, "drop()")
    wait(lambda: program.ask("ps --json")["total"] == 1)
    done(program, "gc.collect()")

    assert refused(program, f"where {number}") == f"task {number} has ended and was deleted"


def test_ten_thousand_tasks_are_all_told(program: Consoled) -> None:
    """Ten thousand tasks are counted, filtered and shown by pages."""
    done(program, "start(**{f't{n}': sleep_long() for n in range(10_000)})")
    wait(lambda: program.ask("ps --json")["tasks"] == 10_001)
    page = program.ask("ps --json")

    assert (page["total"], len(page["rows"])) == (10_001, 20)
    assert program.ask("ps --filter task=t9999 --json")["total"] == 1
    assert program.ask("tree --json")["total"] == 10_001
    assert program.ask("status --json")["rows"][0]["tasks"] == 10_001
    assert program.ask("top --json")["total"] == 10_001
