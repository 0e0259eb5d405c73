"""`status` and `blocks`."""

from __future__ import annotations

import pytest

from tests.support.commanded import wait
from tests.support.console_programs import blocked, marked_place, refused, rows
from tests.support.consoled import Consoled, is_alive

ON_ASYNCIO = pytest.mark.parametrize("tasks_service", ["asyncio"], indirect=True)


def test_status_of_a_quiet_program(program: Consoled) -> None:
    """Nothing is late or in force, and there is a history of seconds."""
    told = wait(lambda: (seen := program.ask("status --json"))["longest_turns_ms"]["0"] and seen)
    loop = told["rows"][0]

    assert (told["late"], told["faults"], told["limits"]) == ([], [], [])
    assert told["pid"] == program.process.pid
    assert (loop["tasks"], loop["waiting"]) == (1, 1)
    assert loop["busy_ratio"] < 0.9
    assert loop["turns_per_s"] is not None  # libuv counts uvloop's


def test_status_names_what_holds_the_loop(program: Consoled) -> None:
    """The blocking line is named while it blocks; afterwards it is one of the blockers."""
    late = blocked(program, "start(blocker=block(2))")[0]
    assert f"program.py:{late['line']}" == marked_place(program, "naps")
    assert (late["function"], late["loop"]) == ("nap", 0)
    assert "LATE" in program.ask("status")

    assert is_alive(program)
    told = program.ask("status --json")
    worst = {one["where"]: one for one in told["blockers"]}[f"{marked_place(program, 'naps')} nap"]
    assert told["late"] == []
    assert worst["max_ms"] >= 1900
    assert worst["cause"] == "call"


@ON_ASYNCIO
def test_status_shows_faults(program: Consoled) -> None:
    """`status` lists faults while they are in force."""
    program.ask("faults inject block.sleep --in __main__:nap --block-ms 1")
    injected = program.ask("status --json")["faults"]
    program.ask("faults heal")

    assert ["__main__:nap" in fault for fault in injected] == [True]
    assert program.ask("status --json")["faults"] == []


def test_blocks_tell_the_line_and_who_had_to_wait(program: Consoled) -> None:
    """`blocks` shows the line, the task and the cause; `--stack` shows the stack and the victims."""
    known = {one["block"] for one in rows(program, "blocks")}
    program.do("start(victim=spin(0.001), blocker=block(0.4))")
    new = wait(lambda: [b for b in rows(program, "blocks") if b["block"] not in known and b["ended"]])
    block = next(one for one in new if one["task"] == "blocker")
    told = program.ask(f"blocks --stack {block['block']} --json")

    assert block["where"] == marked_place(program, "naps")
    assert (block["function"], block["coroutine"], block["cause"]) == ("nap", "block", "call")
    assert 350 < block["held_ms"] < 2000
    assert [f["function"] for f in told["stack"]][-2:] == ["block", "nap"]
    assert not any("/probe/" in f["file"] for f in told["stack"])
    if not program.is_uvloop:  # its ready queue cannot be seen
        assert "victim" in {one["victim"] for one in told["rows"]}
    assert "no block has the number 4711" in refused(program, "blocks --stack 4711")


def test_a_block_that_goes_on_is_as_long_as_it_is_by_now(program: Consoled) -> None:
    """A block that goes on is shown with its length so far."""
    blocked(program, "start(blocker=block(1.5))")

    assert wait(lambda: (one := rows(program, "blocks")[0])["held_ms"] > 600 and not one["ended"])
