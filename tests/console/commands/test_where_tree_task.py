"""`where`, `tree` and `task`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commanded import wait
from tests.support.console_programs import LOOPS, TASKS, blocked, done, marked_place, row, rows, settled
from tests.support.consoled import Consoled, consoled

ON_ASYNCIO = pytest.mark.parametrize("tasks_service", ["asyncio"], indirect=True)


def test_where_goes_through_generators_and_tasks(program: Consoled) -> None:
    """The stack goes down to the innermost await, and on through gathered tasks."""
    done(program, "start(outer=together(consume(asyncio.Queue())))")
    settled(program, "outer")
    wait(lambda: rows(program, "where outer")[-1]["function"] == "Queue.get")
    stack = rows(program, "where outer")

    assert [(one["depth"], one["function"]) for one in stack] == [
        (0, "together"),
        (1, "consume"),
        (1, "items"),
        (1, "Queue.get"),
    ]
    assert stack[0]["where"] == marked_place(program, "gathers")
    assert stack[1]["where"] == marked_place(program, "iterates")
    assert stack[-1]["waits_for"].startswith("Queue.get of Queue ")


def test_where_shows_the_line_that_blocks(program: Consoled) -> None:
    """For a task in the middle of a step, the stack comes from its thread."""
    blocked(program, "start(blocker=block(2))")
    stack = rows(program, "where blocker")

    assert [(one["function"], one["where"]) for one in stack] == [
        ("block", marked_place(program, "blocks")),
        ("nap", marked_place(program, "naps")),
    ]


def test_where_tells_who_awaits_a_task_and_who_made_it(program: Consoled) -> None:
    """Awaiting tasks are found through shield, wait and wait_for; the line that made the task is shown."""
    done(
        program,
        "start(inner=sleep_long(), a=follow('inner'));"
        "start(b=asyncio.wait_for(asyncio.shield(tasks['inner']), 3600), c=asyncio.wait([tasks['inner']]))",
    )
    numbers = {row(program, name)["id"] for name in "abc"}
    inner = wait(
        lambda: (seen := program.ask("where inner --json")) and len(seen["awaited_by"]) == 3 and seen
    )

    assert set(inner["awaited_by"]) == numbers
    assert inner["made"][0].endswith(" start")
    for name in "abc":
        assert {one["function"] for one in rows(program, f"where {name}")} >= {"sleep_long"}


def test_tree_shows_groups_below_their_parents(program: Consoled) -> None:
    """The tasks of a group are shown below their parent, down to the given depth."""
    done(program, "start(parent=together(grouped(2)))")
    wait(lambda: [one for one in rows(program, "tree") if one["task"].strip() == "child-1"])
    parent, group = row(program, "parent", "tree"), row(program, "child-0", "tree")["parent"]
    below = rows(program, "tree parent")

    assert [(one["depth"], one["awaits"]) for one in below] == [(0, 1), (1, 2), (2, 0), (2, 0)]
    assert [one["parent"] for one in below] == [None, parent["id"], group, group]
    assert [one["task"].strip() for one in below[2:]] == ["child-0", "child-1"]
    assert len(rows(program, "tree parent --depth 1")) == 2


@pytest.mark.parametrize("loop", LOOPS)
def test_tasks_that_await_each_other_are_a_deadlock(loop: str, tmp_path: Path) -> None:
    """A cycle of tasks is reported as a deadlock and shown in the tree, though it has no root."""
    # In a separate program: cancelling a task of a cycle recurses without end.
    with consoled(tmp_path, program=TASKS, loop=loop) as program:
        done(program, "start(a=follow('b'), b=follow('c'), c=follow('a'), outside=follow('a'))")
        deadlocks = wait(lambda: program.ask("tree --json")["deadlocks"])

        assert [set(one) for one in deadlocks] == [{row(program, name)["id"] for name in "abc"}]
        assert {one["task"].strip() for one in rows(program, "tree")} >= {"a", "b", "c", "outside"}
        assert [set(one) for one in program.ask("locks --json")["deadlocks"]] == [set(deadlocks[0])]
        assert "DEADLOCK" in program.ask("tree")


def test_tasks_that_await_others_are_no_deadlock(program: Consoled) -> None:
    """A chain of tasks is no deadlock, and neither is a task that several await."""
    done(program, "start(a=follow('b'), b=follow('c'), c=sleep_long(), d=follow('c'))")
    wait(lambda: row(program, "a", "tree")["awaits"] and row(program, "c", "tree")["depth"])

    assert program.ask("tree --json")["deadlocks"] == []
    assert program.ask("locks --json")["deadlocks"] == []


def test_task_tells_everything(program: Consoled) -> None:
    """`task` shows state, waiters, held locks, callbacks, age and origin."""
    done(program, "lock = asyncio.Lock(); start(a=guarded(lock), b=follow('a'), c=ignore())")
    wait(lambda: "sleep_long" in {one["function"] for one in rows(program, "task a")})
    a = wait(lambda: (told := program.ask("task a --json"))["awaited_by"] and told)

    assert a["inside_of"][0].startswith("Lock ")
    assert a["awaited_by"] == [f"{row(program, 'b')['id']} (b)"]
    assert a["callbacks"] == [f"resumes task {row(program, 'b')['id']} (b)"]
    assert (a["cancelling"], a["exception"], a["loop"]) == (0, None, 0)
    assert 0 < a["age_s"] < 600
    assert a["made"][0].endswith(" start")
    assert a["rows"][0]["function"] == "guarded"


@ON_ASYNCIO
def test_an_exception_that_is_looked_at_is_still_not_retrieved(program: Consoled) -> None:
    """Showing a task's exception does not retrieve it: asyncio still reports it as lost."""
    done(program, "start(failed=fail()); kept['n'] = 0")
    done(program, "asyncio.get_running_loop().set_exception_handler(lambda *_: kept.update(n=kept['n'] + 1))")
    # Its number is assigned now: once it has ended, no command lists it.
    done(program, "kept['task'] = tasks.pop('failed')")
    number = program.ask(
        "repl sys.modules['_harness_inside.console.view.task_table'].number(kept['task'])"
    ).strip()
    told = program.ask(f"task {number} --json")
    done(program, "del kept['task']; gc.collect()")

    assert (told["state"], told["exception"]) == ("ended", "ValueError: no such host")
    assert wait(lambda: program.ask("repl kept['n']").strip() == "1")
    done(program, "asyncio.get_running_loop().set_exception_handler(None)")
