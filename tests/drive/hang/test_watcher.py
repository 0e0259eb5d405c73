"""What a loop's page tells of a turn that the runner has seen late."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.drive.hang.watcher import _held_ns, _SeenTurn
from harness.record import page

# The turn began at 100, as far as is known, and was seen at 300.
SEEN = _SeenTurn(began_ns=100, counts_from_ns=100, seen_ns=300)


@pytest.mark.parametrize(
    ("late", "held_ns"),
    [
        ([], 0),
        ([(100, 500)], 500),
        ([(90, 500)], 500),  # the probe knows better when it began
        ([(120, 500)], 500),
        ([(10, 50)], 0),  # one before
        ([(400, 100)], 0),  # one after
        ([(10, 50), (100, 500), (700, 900)], 500),
        ([(100, 500)] + [(1000 * n, 10) for n in range(1, page.LATE_KEPT)], 500),
        ([(100, 500)] + [(1000 * n, 10) for n in range(1, page.LATE_KEPT + 1)], 0),  # no longer kept
    ],
)
def test_the_page_tells_how_long_a_turn_was_that_was_seen(
    late: list[tuple[int, int]], held_ns: int, tmp_path: Path
) -> None:
    """By its time: others before and after it stand there as well."""
    loop: Any = SimpleNamespace(words=page.create(tmp_path / "0.page", started_ns=0, limit_ns=1))
    for began_ns, took_ns in late:
        page.note_late(loop.words, began_ns, took_ns)

    assert _held_ns(loop, SEEN) == held_ns
