"""`lints`: each has a program that is wrong, and one that is not. `test_findings` has further rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.commanded import wait
from tests.support.console_programs import done, row, rows, settled
from tests.support.consoled import Consoled, consoled

ON_ASYNCIO = pytest.mark.parametrize("tasks_service", ["asyncio"], indirect=True)


def lints(program: Consoled) -> set[tuple[str, str]]:
    """Each rule that found something, with the name of the task if it is about one."""
    return {(one["rule"], one["task"]) for one in rows(program, "lints")}


def test_a_program_that_does_nothing_wrong_has_no_lints(program: Consoled) -> None:
    """The control: sleeping, waiting for what others refer to, timeouts and paced loops are not reported."""
    done(
        program,
        "kept['queue'] = asyncio.Queue();"
        "start(a=sleep_long(), b=consume(kept['queue']), c=hopeful(), d=limited(), e=spin(0.001));"
        "start(f=together(sleep_long()), h=asyncio.to_thread(nap, 0.1), i=read_line(), g=grouped(1))",
    )
    row(program, "g")
    # A busy machine holds every program up; and tests before this one have lost tasks.
    others = {"blocks", "tasks"}

    assert {(rule, task) for rule, task in lints(program) if rule not in others} == set()


def test_a_task_that_nobody_can_resume_is_found(program: Consoled) -> None:
    """A task is reported if only the task itself refers to its future or queue."""
    done(program, "start(a=forsaken(), b=queue_of_its_own(), c=hopeful(), d=limited())")
    settled(program, *"abcd")

    assert {one for one in lints(program) if one[0] == "pending for ever"} == {
        ("pending for ever", "a"),
        ("pending for ever", "b"),
    }
    assert program.ask("task a --json")["forsaken"]
    assert not program.ask("task c --json")["forsaken"]


@ON_ASYNCIO
def test_a_task_that_wakes_itself_is_found(program: Consoled) -> None:
    """A loop around ``sleep(0)`` is reported, one with a pause is not."""
    done(program, "start(good=spin(0.002), bad=spin(0))")
    row(program, "bad")
    program.ask("top")  # ends the window before

    # On a busy machine it may have had no turn in the window.
    found = wait(lambda: {one for one in lints(program) if one[0] == "self-waking"})
    assert found == {("self-waking", "bad")}


@pytest.mark.parametrize(
    ("statement", "level", "says"),
    [
        ("start(f=fail()); tasks.pop('f')", "warning", "of fail went unhandled: ValueError: no such host"),
        ("fail()", "warning", "coroutine fail (program.py:"),
        (
            # A census between its beginning and its end, which may come seconds later in an old process.
            "start(i=ignore()); asyncio.get_running_loop().call_later("
            "0.05, lambda: ([one.count() for one in gc.get_objects() if type(one).__name__ == 'Census'],"
            " tasks['i'].cancel()))",
            "note",
            "of ignore swallowed a cancellation",
        ),
        ("start(lost=forsaken()); tasks.pop('lost')", "warning", "destroyed while pending"),
    ],
)
def test_what_got_lost_is_found(program: Consoled, statement: str, level: str, says: str) -> None:
    """Lost exceptions, coroutines, cancellations and tasks are reported as in the report."""
    done(program, statement)

    def found() -> list[dict[str, Any]]:
        done(program, "gc.collect()")
        program.ask("repl await asyncio.sleep(0.05)")
        return [one for one in rows(program, "lints") if one["rule"] == "tasks" and says in one["message"]]

    assert wait(found)[0]["level"] == level


def test_tasks_that_only_become_more_are_a_leak(tmp_path: Path) -> None:
    """A growing number of tasks at one line is a leak; a pool of constant size is not."""
    body = """
    import asyncio, sys

    async def leak(): await asyncio.sleep(3600)
    async def pool(): await asyncio.sleep(3600)

    async def main():
        kept = [asyncio.create_task(pool()) for _ in range(200)]
        print("ready", flush=True)
        while True:
            kept.append(asyncio.create_task(leak()))
            await asyncio.sleep(0.005)

    RUN
    """
    with consoled(tmp_path, program=body) as program:
        found = wait(lambda: [one for one in rows(program, "lints") if one["rule"] == "tasks"])

        assert ["tasks of leak wait at" in one["message"] for one in found] == [True]
