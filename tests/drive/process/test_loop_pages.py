"""Since when a loop is late, read from outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.drive.process.loop_pages import LoopPage
from harness.drive.process.loop_thread import LoopThread
from harness.record import page
from harness.record.page import PageView


@pytest.mark.parametrize(
    ("turn_ns", "due_ns", "late", "began_ns"),
    [
        (0, 0, [], 0),
        (100, 0, [], 100),
        (0, 100, [], 100),
        (100, 0, [(20, 50)], 100),  # the one before it was late
        (100, 0, [(100, 500)], 600),  # it has ended, and the watchdog has not looked since
        (0, 100, [(103, 500)], 603),
        (0, 100, [(103, 500), (700, 300)], 1000),
        (0, 0, [(103, 500)], 0),
    ],
)
def test_a_turn_that_has_ended_is_not_taken_for_one_that_lasts(
    turn_ns: int, due_ns: int, late: list[tuple[int, int]], began_ns: int, tmp_path: Path
) -> None:
    """Code that held the GIL lets the loop go on before the watchdog brings the page up to date."""
    words = page.create(path := tmp_path / "0.page", started_ns=0, limit_ns=1)
    words[page.TURN], words[page.DUE] = turn_ns, due_ns
    for at_ns, held_ns in late:
        page.note_late(words, at_ns, held_ns)

    assert LoopPage(os.getpid(), 0, PageView(path), LoopThread(os.getpid())).began_ns == began_ns
