"""Users at a console's prompt are told of a loop that hangs, without asking for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.record.event import LoopHung, LoopReturned
from tests.support.commanded import wait
from tests.support.consoled import Client, consoled

# As long as it lasts, the console's own threads answer.
HANGS = "waits = threading.Event(); threading.Timer(1.0, waits.set).start(); waits.wait(60)"


def test_a_hang_is_told_at_the_next_prompt_and_with_the_next_answer(tmp_path: Path) -> None:
    """A session of typed lines has a line of it, a program that talks has a list; neither has it twice."""
    with consoled(tmp_path, hang_ms=300) as running, running.connect() as asking, running.connect() as typed:
        before = answer(asking, "ps")  # at once, so that it is no user who is greeted
        typed.wait_for("> ")  # the prompt
        running.do(HANGS)
        wait(lambda: running.events(LoopHung))
        told = answer(asking, "ps")
        typed.send("ps\n")
        shown = typed.wait_for("> ")
        wait(lambda: running.events(LoopReturned))
        over = answer(asking, "ps")
        after = answer(asking, "ps")

    assert "news" not in before
    assert told["news"][-1].startswith("loop 0 hangs, held for 0.3 s")
    assert ": program.py:" in told["news"][-1] or ": <string>:" in told["news"][-1]
    assert "! loop 0 hangs, held for" in shown
    assert over["news"][-1].startswith("loop 0 came back after 1.")
    assert "news" not in after


def answer(client: Client, line: str) -> dict[str, Any]:
    """The whole answer to a client that talks."""
    heard = client.request(line, talks=True)
    assert heard == {"heard": True}
    found: dict[str, Any] = json.loads(client.wait_for("\n"))
    assert found["ok"], found
    return found
