"""`top`: the steps of tasks, counted while it is used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commanded import wait
from tests.support.console_programs import blocked, done, row, rows, settled
from tests.support.consoled import Consoled

ON_ASYNCIO = pytest.mark.parametrize("tasks_service", ["asyncio"], indirect=True)
ON_UVLOOP = pytest.mark.parametrize("tasks_service", ["uvloop"], indirect=True)


@ON_ASYNCIO
def test_top_shows_who_uses_the_time(program: Consoled) -> None:
    """`top` shows busy time, ready time and polls of each task, the busiest first."""
    done(program, "start(busy=burn(0.02, 0.001), ready=spin(0), idle=sleep_long())")
    settled(program, "idle")
    program.ask("top")  # ends the window before
    first, *others = rows(program, "top")
    told = {one["task"]: one for one in others}

    assert (first["task"], first["coroutine"]) == ("busy", "burn")
    assert first["busy_ratio"] > 0.5
    assert first["longest_ms"] > 15
    assert told["ready"]["ready_ms"] > first["busy_ms"] / 2
    assert told["ready"]["polls"] > first["polls"]
    assert (told["idle"]["polls"], told["idle"]["busy_ms"]) == (0, 0)
    assert told["idle"]["wait_ms"] > 200
    by_ready = rows(program, "top --by ready")
    assert by_ready[0]["task"] == "ready"


def test_top_tells_of_the_step_that_goes_on(program: Consoled) -> None:
    """A task in a step that has not ended counts as busy, and comes first."""
    blocked(program, "start(blocker=block(2))")
    program.ask("top --json")
    first = rows(program, "top")[0]

    assert (first["task"], first["state"]) == ("blocker", "running")
    assert first["busy_ratio"] > 0.9


@ON_ASYNCIO
def test_top_sums_up_tasks_that_have_ended(program: Consoled) -> None:
    """Ended tasks are summed up by their coroutine."""
    done(program, "start(spawner=spawn())")
    row(program, "spawner")
    ended = {one["coroutine"]: one for one in program.ask("top --json")["ended"]}

    assert ended["sleep"]["tasks"] > 10
    assert ended["sleep"]["polls"] >= 2 * ended["sleep"]["tasks"] - 2


@ON_UVLOOP
def test_top_says_what_it_does_not_know_of_uvloop(program: Consoled) -> None:
    """On uvloop, busy time is marked as estimated, and polls and ready time are absent."""
    done(program, "start(busy=burn(0.05, 0.001))")
    row(program, "busy")
    told = program.ask("top --json")

    assert told["estimated"]
    assert {(one["polls"], one["ready_ms"], one["longest_ms"]) for one in told["rows"]} == {
        (None, None, None)
    }
    assert told["rows"][0]["task"] == "busy"
    assert "estimated" in program.ask("top")


HOOKS = "asyncio.Handle._run.__module__, asyncio.BaseEventLoop._call_soon.__module__"
OWN = "('asyncio.events', 'asyncio.base_events')"


@pytest.fixture
def briefly(program: Consoled) -> Iterator[None]:
    """Let the counting end soon after the last `top`."""
    steps = "sys.modules['_harness_inside.console.view.task_stats']"
    program.ask("top")
    done(program, f"{steps}.KEPT_ON_NS = 300_000_000")
    yield
    done(program, f"{steps}.KEPT_ON_NS = 30_000_000_000")


def test_top_leaves_nothing_behind(program: Consoled, briefly: None) -> None:
    """When `top` was not used for a while, asyncio's functions are its own again."""
    assert program.ask(f"repl {HOOKS}").strip() != OWN

    program.ask("top")
    assert wait(lambda: program.ask(f"repl {HOOKS}").strip() == OWN)


@ON_ASYNCIO
def test_top_gets_along_with_others_who_replaced_the_same(program: Consoled, briefly: None) -> None:
    """A replacement made after ours stays when ours ends, and is still called."""
    done(program, "exec(THEIRS, globals())")
    program.ask("top")
    wait(
        lambda: (
            program.ask("repl asyncio.BaseEventLoop._call_soon.__module__").strip() == "'asyncio.base_events'"
        )
    )
    calls = int(program.ask("repl kept['calls']"))

    assert program.ask("repl asyncio.Handle._run is _run").strip() == "True"
    assert int(program.ask("repl kept['calls']")) > calls
    assert [one["polls"] for one in program.ask("top --json")["rows"]] == [0]
    done(program, "asyncio.Handle._run = own_run")


@ON_ASYNCIO
def test_top_is_not_inherited_by_a_child(program: Consoled, tmp_path: Path) -> None:
    """A forked child, which lacks the thread that ends the counting, does not count."""
    program.ask("top")
    seen = tmp_path / "seen"
    done(
        program,
        "import pathlib;"
        f"seen = pathlib.Path({str(seen)!r});"
        "pid = os.fork() or (seen.write_text(asyncio.Handle._run.__module__), os._exit(0));"
        "os.waitpid(pid, 0)",
    )

    assert seen.read_text() == "asyncio.events"


@ON_ASYNCIO
def test_top_does_not_change_what_debug_mode_says(program: Consoled) -> None:
    """In debug mode, a handle's creation stack still ends in the program's line."""
    program.ask("top")
    done(program, "asyncio.get_running_loop().set_debug(True)")
    done(program, "kept['handle'] = asyncio.get_running_loop().call_soon(print)")
    done(program, "asyncio.get_running_loop().set_debug(False)")

    assert program.ask("repl kept['handle']._source_traceback[-1].name").strip() == "'<module>'"
